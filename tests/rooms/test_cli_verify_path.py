"""`antin verify-path`: one JSON line and an exit status that programs rely on, whatever is brought."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from commands.verify_path import CANNOT_OPEN, SENTENCES
from signing.trust.path_verdict import REASONS
from tests.rooms.desk import Desk, Ran
from tests.rooms.signing.trust import pkits
from tests.rooms.signing.trust.making import Made, Terms, authority, crl, issue, root

ROOT = root()
MIDDLE = authority("Middle", ROOT)
AN = issue("An", MIDDLE)
NOW = datetime.now(UTC)
Line = list[str | Path]
HOUR = timedelta(hours=1)


class Files:
    """Certificates and lists as files; the root is believed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = self.write("root.crt", ROOT.der)
        self.middle = self.write("middle.crt", MIDDLE.der)
        self.an = self.write("an.crt", AN.der)

    def write(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def list(self, by: Made, *revoked: Made) -> Path:
        since = {one.serial: (NOW - HOUR, x509.ReasonFlags.key_compromise) for one in revoked}
        der = crl(by, since, issued=NOW - HOUR, until=NOW + HOUR)
        return self.write(f"{by.read.subject_text}.crl", der)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def answer(ran: Ran) -> tuple[int, object]:
    (line,) = ran.lines
    assert list(line)[:2] == ["valid", "reason"] and {"path", "policies", "message"} <= set(line)
    assert (ran.code == 0) is line["valid"]
    return ran.code, line["reason"]


def test_valid_in_any_order_and_form(desk: Desk, files: Files) -> None:
    other = files.write("other.crt", issue("Binh", MIDDLE).der)
    ran = desk.antin("verify-path", files.an, other, files.middle, "--trust", files.root)
    assert answer(ran) == (0, None)
    assert [one["subject"] for one in ran.lines[0]["path"]] == ["CN=An", "CN=Middle", "CN=Root"]
    assert ran.err == ""
    pem = b"".join(one.x509.public_bytes(Encoding.PEM) for one in (AN, MIDDLE))
    bundle = files.write("bundle.pem", pem)
    assert answer(desk.antin("verify-path", bundle, "--trust", files.root)) == (0, None)
    assert answer(desk.antin("verify-path", files.an, files.middle)) == (
        2,
        "no-issuer",
    )  # the home believes nobody


def test_revocation_is_judged_when_lists_are_given(desk: Desk, files: Files) -> None:
    path: Line = ["verify-path", files.an, files.middle, "--trust", files.root]
    above, below = files.list(ROOT), files.list(MIDDLE)
    assert answer(desk.antin(*path, "--crl", above, "--crl", below)) == (0, None)
    assert answer(desk.antin(*path, "--crl", below)) == (2, "revocation-unknown")
    read = (x509.load_der_x509_crl(one.read_bytes()) for one in (above, below))
    both = files.write("both.pem", b"".join(one.public_bytes(Encoding.PEM) for one in read))
    assert answer(desk.antin(*path, "--crl", both)) == (0, None)
    later = (NOW + timedelta(days=2)).isoformat()
    assert answer(desk.antin(*path, "--crl", above, "--crl", below, "--at", later)) == (
        2,
        "revocation-unknown",
    )
    below = files.list(MIDDLE, AN)
    ran = desk.antin(*path, "--crl", above, "--crl", below)
    assert answer(ran) == (1, "revoked")
    assert ran.lines[0]["detail"] == "key_compromise" and "CN=An" in ran.err


def test_another_way_is_taken_where_an_authority_is_revoked(desk: Desk, files: Files) -> None:
    other_root = root("Other root")
    cross = issue("Middle", other_root, Terms(MIDDLE_TERMS, (2015, 2050), MIDDLE.key))
    ways: Line = ["verify-path", files.an, files.middle, files.write("cross.crt", cross.der)]
    trust: Line = ["--trust", files.root, "--trust", files.write("other.crt", other_root.der)]
    lists: Line = [
        "--crl",
        files.list(ROOT, MIDDLE),
        "--crl",
        files.list(MIDDLE),
        "--crl",
        files.list(other_root),
    ]
    ran = desk.antin(*ways, *trust, *lists)
    assert answer(ran) == (0, None)
    assert ran.lines[0]["path"][-1]["subject"] == "CN=Other root"
    assert answer(desk.antin(*ways, *trust, *lists[:4])) == (1, "revoked")


MIDDLE_TERMS = tuple((one.value, one.critical) for one in MIDDLE.x509.extensions)


def test_the_time_moves(desk: Desk, files: Files) -> None:
    path: Line = ["verify-path", files.an, files.middle, "--trust", files.root]
    assert answer(desk.antin(*path, "--at", "2019-06-01")) == (1, "not-yet-valid")
    assert answer(desk.antin(*path, "--at", "2041-06-01T00:00:00+07:00")) == (1, "expired")


def test_policies(desk: Desk, files: Files) -> None:
    path: Line = ["verify-path", pkits.DATA / "certs" / "ValidPolicyMappingTest1EE.crt"]
    path += [pkits.DATA / "certs" / "Mapping1to2CACert.crt", "--trust", pkits.ANCHOR]
    ran = desk.antin(*path, "--policy-oid", pkits.NIST + "1")
    assert answer(ran) == (0, None)
    assert ran.lines[0]["policies"] == [pkits.NIST + "1"]
    assert answer(desk.antin(*path, "--policy-oid", pkits.NIST + "2")) == (1, "forbidden")
    assert answer(desk.antin(*path, "--policy-oid", "anyPolicy", "--inhibit-mapping")) == (1, "forbidden")
    plain: Line = ["verify-path", files.an, files.middle, "--trust", files.root]
    assert answer(desk.antin(*plain, "--policy-oid", "2.5.29.32.0")) == (1, "forbidden")


def test_weak_keys_are_never_silent(desk: Desk, files: Files) -> None:
    certs = pkits.DATA / "certs"
    old: Line = [
        "verify-path",
        certs / "ValidDSASignaturesTest4EE.crt",
        certs / "DSACACert.crt",
        "--trust",
        pkits.ANCHOR,
    ]
    ran = desk.antin(*old)
    assert answer(ran) == (0, None)
    assert [one["what"] for one in ran.lines[0]["weak"]] == ["DSA-1024"]
    short = issue("Short", MIDDLE, Terms(key=rsa.generate_private_key(65537, 1024)))
    ran = desk.antin("verify-path", files.write("short.crt", short.der), files.middle, "--trust", files.root)
    assert answer(ran) == (2, "weak-algorithm")
    assert ran.lines[0]["weak"] == [{"what": "RSA-1024", "since": "2014-01-01T00:00:00Z"}]


NONE = (
    b"",
    b"\x30",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30" * 5000,
    b"-----BEGIN CERTIFICATE-----\n!\n-----END",
)


def test_what_is_no_certificate(desk: Desk, files: Files) -> None:
    for content in NONE:
        odd = files.write("odd", content)
        assert answer(desk.antin("verify-path", odd, "--trust", files.root)) == (1, "unreadable")
        beside = desk.antin(
            "verify-path", files.an, odd, files.middle, "--trust", files.root,
            "--crl", odd, "--crl", files.list(ROOT), "--crl", files.list(MIDDLE),
        )  # fmt: skip
        assert answer(beside) == (0, None) and "odd" in beside.err


def test_wrong_usage_and_what_cannot_be_opened(desk: Desk, files: Files) -> None:
    assert answer(desk.antin("verify-path", files.folder, "--trust", files.root)) == (2, CANNOT_OPEN)
    wrongs: tuple[Line, ...] = (
        ["verify-path"], ["verify-path", files.an, "/no/such"], ["verify-path", files.an, "--crl", "/no/such"],
        ["verify-path", files.an, "--policy-oid", "x"], ["verify-path", files.an, "--at", "claimed"],
        ["verify-path", files.an, "--trust", "/no/such"],
    )  # fmt: skip
    for wrong in wrongs:
        assert desk.antin(*wrong).code == 64, wrong


def test_every_reason_has_its_words() -> None:
    assert set(SENTENCES) == {"", CANNOT_OPEN, *REASONS}
