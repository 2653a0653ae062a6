"""Time-stamp tokens: what is believed, and each way in which one may lie."""

from __future__ import annotations

import hashlib
import pickle
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import cms, core, tsp, x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.timestamping.answer import Rejected, token_in
from signing.timestamping.query import write_query
from signing.timestamping.source import TimestampUnavailable, obtain, response_of
from signing.timestamping.token import NotAToken, Token, TokenRefused, check_token, read_token
from signing.trust.anchors import Anchor, TrustSnapshot, Use
from tests.rooms.signing.stamping import NOW, Ours, Root, ours

DIGEST = hashlib.sha256(b"van ban").digest()
WORLD = ours()


async def _token(world: Ours = WORLD) -> Token:
    response = await world.authority.stamp(write_query(DIGEST, "sha256", 1 << 100))
    return read_token(token_in(response))


def _check(token: Token, trust: TrustSnapshot | None = None, **more: Any) -> tuple[bytes, ...]:
    asked: dict[str, Any] = {"digest": DIGEST, "hash_name": "sha256", "at": NOW} | more
    return check_token(token, trust=trust or WORLD.trust, **asked)


def _forge(
    root: Root = WORLD.root,
    *,
    info: dict[str, Any] | None = None,
    named: bytes | None = None,
    beside: tuple[bytes, ...] = (),
    certificate: bytes | None = None,
    attributes: bool = True,
    kind: str = "tst_info",
) -> bytes:
    """A token whose signature holds, made by asn1crypto; `named` is the certificate that the signer names."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = certificate or root.issue(key)
    if certificate is not None:
        key = WORLD.private  # type: ignore[assignment]
    said: dict[str, Any] = {
        "version": "v1", "policy": "1.2.3", "serial_number": 5, "gen_time": NOW,
        "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": DIGEST},
    } | (info or {})  # fmt: skip
    content = tsp.TSTInfo(said).dump()
    digest = hashlib.sha256(content).digest()
    essence = {"cert_hash": hashlib.sha256(named or own).digest()}
    stated = [
        {"type": "content_type", "values": [kind]},
        {"type": "message_digest", "values": [digest]},
    ]
    if named != b"":
        stated.append({"type": "signing_certificate_v2", "values": [{"certs": [essence]}]})
    signed = cms.CMSAttributes(stated)
    read = x509.Certificate.load(own)
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            "issuer_and_serial_number", {"issuer": read.issuer, "serial_number": read.serial_number}
        ),
        "digest_algorithm": {"algorithm": "sha256"},
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": key.sign(signed.dump() if attributes else content, ec.ECDSA(SHA256())),
    } | ({"signed_attrs": signed} if attributes else {})
    data = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": "sha256"}],
        "encap_content_info": {"content_type": kind, "content": core.ParsableOctetString(content)},
        "certificates": [x509.Certificate.load(one) for one in (own, *beside)],
        "signer_infos": [signer],
    }
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump())


def test_a_token_of_others_is_believed() -> None:
    token = read_token(_forge())
    assert _check(token)[-1] == WORLD.root.der
    assert (token.serial, token.nonce, token.policy, token.time) == (5, None, "1.2.3", NOW)
    assert pickle.loads(pickle.dumps(token)) == token


async def test_zeros_behind_are_no_part_of_it() -> None:
    """As in /Contents of a document time-stamp."""
    token = await _token()
    padded = read_token(token.der + bytes(500))
    assert padded == token


# -- what is refused


async def test_over_other_bytes() -> None:
    token = await _token()
    for asked in ({"digest": bytes(32)}, {"digest": DIGEST[:-1]}, {"hash_name": "sha512"}):
        with pytest.raises(TokenRefused, match="over other bytes"):
            _check(token, **asked)


def test_an_injected_certificate_changes_nothing() -> None:
    """Somebody's certificate of the same name and number, put in beside the signer's: clients that look for the signer
    by name take it for the signer (sigstore GHSA-xm5m-wgh2-rrg3)."""
    stranger = Root.make()
    key = ec.generate_private_key(ec.SECP256R1())
    injected = WORLD.root.issue(key, common="Famous TSA")
    token = read_token(_forge(stranger, beside=(injected, WORLD.root.der)))
    assert token.authority != "CN=Famous TSA"
    with pytest.raises(TokenRefused, match="not believed"):
        _check(token)
    # The signer that the attribute names must be the one that signed.
    with pytest.raises((NotAToken, TokenRefused)):
        _check(read_token(_forge(stranger, beside=(injected,), named=injected)))


def test_who_names_no_certificate() -> None:
    with pytest.raises(TokenRefused, match="does not name"):
        _check(read_token(_forge(named=b"")))
    with pytest.raises((TokenRefused, NotAToken)):
        _check(read_token(_forge(attributes=False)))


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"critical": False}, "critical"),
        ({"purposes": ()}, "alone"),
        ({"purposes": (ExtendedKeyUsageOID.CODE_SIGNING,)}, "alone"),
        ({"purposes": (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)}, "alone"),
        ({"years": (2010, 2020)}, "outside"),
        ({"years": (2030, 2040)}, "outside"),
    ],
)
def test_certificates_that_date_nothing(terms: dict[str, Any], why: str) -> None:
    certificate = WORLD.root.issue(WORLD.private, **terms)
    with pytest.raises(TokenRefused, match=why):
        _check(read_token(_forge(certificate=certificate)))


async def test_whom_we_believe_for_other_things() -> None:
    token = await _token()
    signatures_only = TrustSnapshot((Anchor(WORLD.root.der, uses=frozenset({Use.SIGNATURES})),))
    for trust in (TrustSnapshot(()), signatures_only, Root.make().trust):
        with pytest.raises(TokenRefused, match="not believed"):
            _check(token, trust)
    # The authority itself may be what is believed.
    assert _check(token, TrustSnapshot((Anchor(WORLD.certificate),))) == (WORLD.certificate,)


def test_an_authority_that_ended_since() -> None:
    token = read_token(_forge())
    with pytest.raises(TokenRefused, match="expired"):
        _check(token, at=NOW + timedelta(days=366 * 20))


@pytest.mark.parametrize(
    ("info", "why"),
    [
        ({"version": "v2"}, "version"),
        (
            {"extensions": [{"extn_id": "1.2.3", "critical": True, "extn_value": b"\x05\0"}]},
            r"critical extension that is not known: 1\.2\.3",
        ),
        ({"serial_number": 1 << 600}, "no number"),
    ],
)
def test_what_it_says_is_no_tst_info(info: dict[str, Any], why: str) -> None:
    with pytest.raises(NotAToken, match=why):
        read_token(_forge(info=info))


def test_what_it_may_say_besides() -> None:
    extension = {"extn_id": "1.2.3", "extn_value": b"\x05\0"}
    more = {"accuracy": {"seconds": 60}, "ordering": True, "nonce": 9, "extensions": [extension]}
    token = read_token(_forge(info=more))
    _check(token)
    assert token.nonce == 9


def test_other_signed_data_is_no_token() -> None:
    with pytest.raises(NotAToken, match="no TSTInfo"):
        read_token(_forge(kind="data"))


# -- whatever the bytes are


@given(st.binary(max_size=300))
def test_bytes_that_are_none(junk: bytes) -> None:
    with pytest.raises(NotAToken):
        read_token(junk)
    with pytest.raises(Rejected):
        token_in(junk)


FORGED = _forge()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(FORGED) - 1), st.integers(1, 255))
def test_no_changed_token_says_something_else(at: int, by: int) -> None:
    """It is refused; or what was changed stands outside of all that is signed or named, and it says the same."""
    changed = bytearray(FORGED)
    changed[at] ^= by
    try:
        token = read_token(bytes(changed))
        _check(token)
    except (NotAToken, TokenRefused):
        return
    good = read_token(FORGED)
    assert (token.time, token.imprint, token.signer, token.serial) == (
        good.time, good.imprint, good.signer, good.serial,
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(FORGED) - 1))
def test_a_token_that_is_cut_off(at: int) -> None:
    with pytest.raises(NotAToken):
        read_token(FORGED[:at])


# -- obtaining one


class Says:
    """A source that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def resting(self) -> float:
        return 0.0

    async def stamp(self, request: bytes) -> bytes:
        return bytes(self._answer(request))


async def _obtained(answer: Any, now: Any = NOW) -> Token:
    return await obtain(Says(answer), DIGEST, hash_name="sha256", trust=WORLD.trust, now=now)


def _nonce(request: bytes) -> int:
    return int(tsp.TimeStampReq.load(request)["nonce"].native)


async def test_the_request_is_as_it_should_be() -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return response_of(_forge(info={"nonce": _nonce(request)}))

    await _obtained(answer)
    await _obtained(answer)
    nonces = [_nonce(one) for one in asked]
    assert len(set(nonces)) == 2 and all(1 << 90 < one < 1 << 128 for one in nonces)
    read = tsp.TimeStampReq.load(asked[0], strict=True)
    assert read["cert_req"].native is True and read["version"].native == "v1"
    assert read["message_imprint"]["hashed_message"].native == DIGEST
    with pytest.raises(ValueError, match="no imprint"):
        write_query(DIGEST, "sha1", 1)
    with pytest.raises(ValueError, match="no imprint"):
        write_query(DIGEST, "sha512", 1)


LIES: dict[str, tuple[Any, str]] = {
    "another nonce": (lambda _: response_of(_forge(info={"nonce": 1})), "nonce"),
    "no nonce": (lambda _: response_of(_forge()), "nonce"),
    "another imprint": (
        lambda request: response_of(
            _forge(
                info={
                    "nonce": _nonce(request),
                    "message_imprint": {
                        "hash_algorithm": {"algorithm": "sha256"},
                        "hashed_message": bytes(32),
                    },
                }
            )
        ),
        "other bytes",
    ),
    "another time": (
        lambda request: response_of(
            _forge(info={"nonce": _nonce(request), "gen_time": NOW - timedelta(minutes=6)})
        ),
        "far from ours",
    ),
    "a stranger": (
        lambda request: response_of(_forge(Root.make(), info={"nonce": _nonce(request)})),
        "not believed",
    ),
    "rejected": (lambda _: bytes.fromhex("30093007020102030205a0"), "rejected: badAlg, badRequest"),
    "waiting": (lambda _: bytes.fromhex("30053003020103"), "rejected: waiting"),
    "granted nothing": (lambda _: bytes.fromhex("30053003020100"), "rejected"),
    "nothing": (lambda _: b"", "no TimeStampResp"),
    "more than any": (lambda _: bytes(1 << 20), "larger"),
    "a page": (lambda _: b"<html>busy</html>", "no TimeStampResp"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_every_lie_is_told(lie: str) -> None:
    answer, why = LIES[lie]
    with pytest.raises(TimestampUnavailable, match=why) as caught:
        await _obtained(answer)
    assert len(caught.value.tried) == 1
