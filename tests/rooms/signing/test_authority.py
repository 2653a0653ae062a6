"""Our own time-stamp authority: what it grants, what it rejects and by which name, and what other programs say of it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core, tsp
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hsm.key import KeyUnavailable, Purpose, SigningKey
from signing.timestamping.clock import ClockUnsure
from signing.timestamping.source import TimestampUnavailable, obtain
from signing.timestamping.token import check_token
from tests.rooms.signing.stamping import NOW, POLICY, Ours, Root, failure_of, fields_of, opener, ours

DIGEST = hashlib.sha256(b"van ban").digest()


def request(hash_name: str = "sha256", digest: bytes = DIGEST, **more: object) -> bytes:
    """By asn1crypto."""
    algorithm = {"algorithm": hash_name, "parameters": core.Null()}
    imprint = {"hash_algorithm": algorithm, "hashed_message": digest}
    return bytes(tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, **more}).dump())


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["P-256", "P-384", "RSA"],
)
async def test_each_kind_of_key_stamps(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    world = ours(private=private)
    token = await obtain(world.authority, DIGEST, hash_name="sha256", trust=world.trust, now=NOW)
    assert (token.time, token.policy, token.imprint, token.hash_name) == (NOW, POLICY, DIGEST, "sha256")
    assert token.authority == "CN=TSA of a test"
    path = check_token(token, digest=DIGEST, hash_name="sha256", trust=world.trust, at=NOW)
    assert path == (world.certificate, world.root.der)


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512"])
async def test_imprints_that_are_strong(name: str) -> None:
    world, digest = ours(), hashlib.new(name, b"van ban").digest()
    token = await obtain(world.authority, digest, hash_name=name, trust=world.trust, now=NOW)
    assert (token.hash_name, token.imprint) == (name, digest)


async def test_the_certificate_comes_only_if_it_is_wanted() -> None:
    world = ours()
    for wanted in (True, False):
        response = await world.authority.stamp(request(cert_req=wanted))
        data = tsp.TimeStampResp.load(response)["time_stamp_token"]["content"]
        stated = {one.chosen.dump() for one in data["certificates"]}
        assert stated == ({world.certificate, world.root.der} if wanted else set())


async def test_serials_are_random_and_the_nonce_comes_back() -> None:
    world = ours()
    infos = [fields_of(await world.authority.stamp(request(nonce=7 + n))) for n in range(64)]
    serials = [one["serial_number"].native for one in infos]
    assert len(set(serials)) == 64 and all(0 <= one < 1 << 128 for one in serials)
    assert max(serials) > 1 << 120
    assert [one["nonce"].native for one in infos] == [7 + n for n in range(64)]
    assert fields_of(await world.authority.stamp(request()))["nonce"].native is None
    negative = fields_of(await world.authority.stamp(request(nonce=-5)))
    assert negative["nonce"].native == -5


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        (timedelta(milliseconds=1), (None, 2)),
        (timedelta(seconds=1), (1, 1)),
        (timedelta(microseconds=1), (None, 2)),
        (timedelta(seconds=2, milliseconds=999), (3, None)),
    ],
)
async def test_accuracy_is_never_below_the_bound(
    bound: timedelta, told: tuple[int | None, int | None]
) -> None:
    accuracy = fields_of(await ours(accuracy=bound).authority.stamp(request()))["accuracy"]
    assert (accuracy["seconds"].native, accuracy["millis"].native) == told
    assert timedelta(seconds=told[0] or 0, milliseconds=told[1] or 0) >= bound + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), b"20260102030405Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), b"20260102030405.999Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 120_000, tzinfo=UTC), b"20260102030405.12Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC), b"20260102030405Z"),
    ],
)
async def test_times_are_cut_off_and_der(moment: datetime, told: bytes) -> None:
    world = ours(lambda: moment)
    assert fields_of(await world.authority.stamp(request()))["gen_time"].contents == told


async def test_signed_attributes_are_der_and_name_the_certificate() -> None:
    world = ours()
    data = tsp.TimeStampResp.load(await world.authority.stamp(request()))["time_stamp_token"]["content"]
    assert data["version"].native == "v3"
    (signer,) = data["signer_infos"]
    attributes = {one["type"].native: one["values"][0] for one in signer["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    named = attributes["signing_certificate_v2"]["certs"][0]
    assert named["cert_hash"].native == hashlib.sha256(world.certificate).digest()
    members = [one.dump() for one in signer["signed_attrs"]]
    assert members == sorted(members)
    assert isinstance(data["encap_content_info"]["content"].parsed, tsp.TSTInfo)


# -- rejections


REJECTED = {
    "sha1": (request("sha1", bytes(20)), "bad_alg"),
    "md5": (request("md5", bytes(16)), "bad_alg"),
    "sha224": (request("sha224", bytes(28)), "bad_alg"),
    "another policy": (request(req_policy="1.2.3.4"), "unaccepted_policy"),
    "a critical extension": (
        request(extensions=[{"extn_id": "1.2.3", "critical": True, "extn_value": b"\x05\0"}]),
        "unaccepted_extensions",
    ),
    "an extension": (
        request(extensions=[{"extn_id": "1.2.3", "extn_value": b"\x05\0"}]),
        "unaccepted_extensions",
    ),
    "a short digest": (request(digest=bytes(31)), "bad_data_format"),
    "a long digest": (request(digest=bytes(33)), "bad_data_format"),
    "another version": (
        request().replace(b"\x02\x01\x01", b"\x02\x01\x02", 1),
        "bad_request",
    ),
    "nothing": (b"", "bad_data_format"),
    "text": (b"GET / HTTP/1.1", "bad_data_format"),
    "cut off": (request()[:-1], "bad_data_format"),
    "one octet more": (request() + b"\0", "bad_data_format"),
    "a length that is not DER": (b"\x30\x81" + request()[1:], "bad_data_format"),
    "a nonce without an end": (request(nonce=1 << 600), "bad_data_format"),
    "larger than any": (b"\x30\x83\x01\0\0" + bytes(1 << 16), "bad_data_format"),
    "parameters of a hash": (request().replace(b"\x05\0\x04", b"\x0c\0\x04", 1), "bad_data_format"),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_what_is_wrong_has_its_name(case: str) -> None:
    asked, failure = REJECTED[case]
    assert failure_of(await ours().authority.stamp(asked)) == {failure}


async def test_the_policy_may_be_named() -> None:
    assert fields_of(await ours().authority.stamp(request(req_policy=POLICY)))["policy"].native == POLICY


async def test_without_the_time_nothing_is_stamped() -> None:
    def off() -> datetime:
        raise ClockUnsure(timedelta(hours=1))

    assert failure_of(await ours(off).authority.stamp(request())) == {"time_not_available"}
    with pytest.raises(TimestampUnavailable, match="timeNotAvailable"):
        world = ours(off)
        await obtain(world.authority, DIGEST, hash_name="sha256", trust=world.trust, now=NOW)


@pytest.mark.parametrize("years", [(2010, 2020), (2030, 2040)])
async def test_a_certificate_of_another_time_stamps_nothing(years: tuple[int, int]) -> None:
    assert failure_of(await ours(years=years).authority.stamp(request())) == {"system_failure"}


@pytest.mark.parametrize(
    "terms",
    [
        {"critical": False},
        {"purposes": ()},
        {"purposes": (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)},
    ],
)
async def test_a_certificate_for_more_stamps_nothing(terms: dict[str, Any]) -> None:
    with pytest.raises(TimestampUnavailable, match="cannot stamp"):
        await ours(**terms).authority.stamp(request())


async def test_a_key_for_documents_stamps_nothing() -> None:
    private, root = ec.generate_private_key(ec.SECP256R1()), Root.make()
    key = opener(private, root.issue(private), purpose=Purpose.SIGNING)
    with pytest.raises(TimestampUnavailable, match="not for time-stamps"):
        await ours(key=key).authority.stamp(request())


async def test_a_key_that_is_away_is_unavailable() -> None:
    async def away() -> SigningKey:
        raise KeyUnavailable("tsa", why="the token is away", retry_after=7)

    with pytest.raises(TimestampUnavailable, match="the token is away") as caught:
        await ours(key=away).authority.stamp(request())
    assert caught.value.retry_after == 7


def test_a_policy_that_is_none() -> None:
    from signing.timestamping.authority import Authority

    for wrong in ("", "1", "3.1", "1.40", "a.b", "1.-2"):
        with pytest.raises(ValueError, match=r".*"):
            Authority(
                lambda: None,  # type: ignore[arg-type, return-value]
                clock=lambda: NOW,
                accuracy=timedelta,
                policy=wrong,
            )


# -- what others say


def _openssl(*words: str | Path, folder: Path) -> str:
    done = subprocess.run(
        ["openssl", "ts", *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=30
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_openssl_agrees(tmp_path: Path, hash_name: str) -> None:
    world = ours(lambda: datetime.now(UTC))
    data = tmp_path / "data"
    data.write_bytes(b"van ban")
    (tmp_path / "root.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    _openssl("-query", "-data", data, f"-{hash_name}", "-cert", "-out", "q", folder=tmp_path)
    response = asyncio.run(world.authority.stamp((tmp_path / "q").read_bytes()))
    (tmp_path / "r").write_bytes(response)
    said = _openssl("-verify", "-queryfile", "q", "-in", "r", "-CAfile", "root.pem", folder=tmp_path)
    assert "Verification: OK" in said, said
    said = _openssl("-verify", "-data", data, "-in", "r", "-CAfile", "root.pem", folder=tmp_path)
    assert "Verification: OK" in said, said
    text = _openssl("-reply", "-in", "r", "-text", folder=tmp_path)
    assert "Status: Granted." in text and f"Policy OID: {POLICY}" in text and "Accuracy: 0x01 seconds" in text

    data.write_bytes(b"other")
    assert "Verification: FAILED" in _openssl(
        "-verify", "-data", data, "-in", "r", "-CAfile", "root.pem", folder=tmp_path
    )


def test_openssl_reads_a_rejection(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"van ban")
    _openssl("-query", "-data", "data", "-sha1", "-out", "q", folder=tmp_path)
    (tmp_path / "r").write_bytes(asyncio.run(ours().authority.stamp((tmp_path / "q").read_bytes())))
    said = _openssl("-reply", "-in", "r", "-text", folder=tmp_path)
    assert "Status: Rejected." in said and "unrecognized or unsupported algorithm" in said


async def test_many_at_once() -> None:
    world: Ours = ours()
    tokens = await asyncio.gather(
        *(
            obtain(
                world.authority,
                hashlib.sha256(bytes([n])).digest(),
                hash_name="sha256",
                trust=world.trust,
                now=NOW,
            )
            for n in range(32)
        )
    )
    assert len({one.serial for one in tokens}) == 32
