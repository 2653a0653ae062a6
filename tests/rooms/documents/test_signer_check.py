"""Who signs and whether they may (K1, K2, V4, V5), asked before any key is touched."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from documents.signer_check import CertificateRefused, KeyRefused, MaterialOwed, SignerOf
from hsm.key import Holder, HolderKind, KeyDescription, Mechanism, NoSuchKey, Purpose, Refusal
from tests.rooms.documents.desk import Desk, request_for

TLS = ("server_auth",)


async def described(desk: Desk, name: str = "con-dau") -> KeyDescription:
    return (await desk.vault.open(name)).description


async def external(desk: Desk, name: str = "con-dau") -> SignerOf:
    key = await described(desk, name)
    return SignerOf.external(key.certificate, key.chain, None)


async def test_a_key_is_used_by_whom_it_is_for(desk: Desk) -> None:
    key, agency, who = await described(desk), desk.caller.agency, desk.caller.id
    signer = SignerOf.holding(key, None, agency=agency, who=who)
    assert (signer.key, signer.mechanism) == ("con-dau", Mechanism.ECDSA_SHA256)
    person = Holder(HolderKind.PERSON, desk.other.id)
    for other, reason in (
        (replace(key, purpose=Purpose.TIME_STAMPING), Refusal.WRONG_PURPOSE),
        (replace(key, purpose=Purpose.PROBE), Refusal.WRONG_PURPOSE),
        (replace(key, granted=frozenset()), Refusal.NOT_THE_HOLDER),
        (replace(key, holder=person), Refusal.NOT_THE_HOLDER),
        (replace(key, mechanisms=()), Refusal.WRONG_MECHANISM),
    ):
        with pytest.raises(KeyRefused) as refused:
            SignerOf.holding(other, None, agency=agency, who=who)
        assert refused.value.reason is reason
    for purpose in (Purpose.SEAL, Purpose.TIME_STAMPING):
        with pytest.raises(NoSuchKey):  # as one that is not there
            SignerOf.holding(replace(key, purpose=purpose), None, agency=desk.other.agency, who=who)
    with pytest.raises(KeyRefused):
        SignerOf.holding(key, Mechanism.RSA_PSS_SHA256, agency=agency, who=who)


async def test_from_outside_the_certificate_decides(desk: Desk) -> None:
    key = await described(desk)
    signer = SignerOf.external(key.certificate, (), None)
    assert signer.key.startswith("certificate:")
    with pytest.raises(KeyRefused):
        SignerOf.external(key.certificate, (), Mechanism.RSA_PKCS1_SHA256)
    with pytest.raises(CertificateRefused) as refused:
        SignerOf.external(b"no certificate", (), None)
    assert refused.value.reason == "NO_PATH"


async def test_a_good_certificate_is_established_with_its_evidence(desk: Desk) -> None:
    signer = await external(desk)
    checked = await desk.check.before(signer)
    assert checked.established
    assert checked.chain == (desk.pki.certificate("issuing"),)
    assert checked.certificates[:3] == (signer.certificate, *desk.pki.chain)
    assert checked.ocsps and checked.crls
    stored = checked.to_stored()
    assert [one["status"] for one in stored["certificates"]] == ["good", "good"]
    assert checked.warning() is None
    took = []
    for _ in range(50):
        began = time.process_time()
        await desk.check.before(signer)
        took.append(time.process_time() - began)
    assert sorted(took)[10] < 0.0005


async def test_known_to_be_bad_is_refused(desk: Desk) -> None:
    async def reason(name: str) -> str:
        with pytest.raises(CertificateRefused) as refused:
            await desk.check.before(await external(desk, name))
        return refused.value.reason

    await desk.make_key("het-han", years=(2020, 2022))
    await desk.make_key("chua-den", years=(2035, 2040))
    await desk.make_key("may-chu", purposes=TLS)
    assert await reason("het-han") == "EXPIRED"
    assert await reason("chua-den") == "NOT_YET_VALID"
    assert await reason("may-chu") == "WRONG_PURPOSE"
    with desk.pki.revoked(desk.labels["con-dau"], desk.clock() - timedelta(hours=1)):
        assert await reason("con-dau") == "REVOKED"


async def test_on_hold_is_refused(desk: Desk) -> None:
    await desk.make_key("tam-dung")
    desk.pki.revoke(desk.labels["tam-dung"], desk.clock() - timedelta(hours=1), "certificate_hold")
    with pytest.raises(CertificateRefused) as refused:
        await desk.check.before(await external(desk, "tam-dung"))
    assert refused.value.reason == "ON_HOLD"


async def test_nobody_whom_we_believe(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    from tests.rooms.web.rooms import certificate_for

    with pytest.raises(CertificateRefused) as refused:
        await desk.check.before(SignerOf.external(certificate_for(key, "Ai do"), (), None))
    assert refused.value.reason == "NO_PATH"
    assert request_for(key, "x")


async def test_what_cannot_be_known_is_no_refusal(desk: Desk) -> None:
    await desk.make_key("moi")
    with desk.everything_away():
        checked = await desk.check.before(await external(desk, "moi"))
    assert not checked.established
    assert checked.warning() is None
    assert checked.to_stored()["established"] is False


async def test_later_it_is_asked_of_the_time_it_was_made(desk: Desk) -> None:
    signer, made = await external(desk), desk.clock()
    with desk.pki.revoked(desk.labels["con-dau"], made - timedelta(hours=1)):
        known = await desk.check.known(signer.certificate, signer.chain, at=made)
        warning = known.warning()
        assert warning is not None and warning["code"] == "certificate-revoked"
    strange = await desk.check.known(signer.certificate, (), at=made)
    assert not strange.established
    assert strange.to_stored()["flaw"] == "no-issuer"


async def test_material_of_a_strange_authority_is_owed(desk: Desk) -> None:
    checked = await desk.check.before(await external(desk))
    plain = await desk.check.material(checked, None)
    assert plain.certificates == checked.certificates
    with pytest.raises(MaterialOwed):
        await desk.check.material(checked, b"no token")
