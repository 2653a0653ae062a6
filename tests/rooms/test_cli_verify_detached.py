"""`antin verify` over what stands by itself: CMS signatures and time-stamps that OpenSSL made, with what they are over."""

from __future__ import annotations

import base64
import random
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.verification.cades import read_cades
from signing.verification.cms_form import NOT_DER
from signing.verification.der import Walk
from signing.verification.pdf_facts import CannotRead
from signing.verification.signed_data import read_signed_data
from tests.papers import letter
from tests.rooms.desk import Desk, Ran
from tests.rooms.signing.trust.making import USUAL, Key, Made, Terms, issue, root, usage

ROOT = root()
STAMPS = (
    usage("digital_signature"),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
)
PAPER = "Kính gửi: Ủy ban nhân dân xã An Phước\n".encode() * 3000
PSS = ("-keyopt", "rsa_padding_mode:pss")


class Bench:
    """A signer, an authority and OpenSSL, which knows nothing of us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paper = self.write("paper.txt", PAPER)
        self.other = self.write("other.txt", PAPER + b".")
        self.root = self.write("root.pem", ROOT.x509.public_bytes(Encoding.PEM))

    def write(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def keep(self, made: Made, name: str) -> tuple[Path, Path]:
        plain = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.write(f"{name}.pem", made.x509.public_bytes(Encoding.PEM)), self.write(
            f"{name}.key", plain
        )

    def sign(self, *how: str, key: Key | None = None, form: str = "DER") -> Path:
        certificate, private = self.keep(issue("An", ROOT, Terms(USUAL.extensions, key=key)), "an")
        self._openssl(
            "cms", "-sign", "-binary", "-in", self.paper, "-signer", certificate, "-inkey", private, "-outform", form,
            "-out", self.folder / "out.p7s", *how,
        )  # fmt: skip
        return self.folder / "out.p7s"

    def again(self, signed: Path) -> Path:
        """Somebody else signs beside whoever did."""
        certificate, private = self.keep(issue("Binh", ROOT, Terms(USUAL.extensions)), "binh")
        self._openssl(
            "cms", "-resign", "-cades", "-binary", "-in", signed, "-inform", "DER", "-nodetach", "-signer", certificate,
            "-inkey", private, "-outform", "DER", "-out", self.folder / "both.p7s",
        )  # fmt: skip
        return self.folder / "both.p7s"

    def stamp(self) -> Path:
        certificate, private = self.keep(issue("TSA", ROOT, Terms(STAMPS)), "tsa")
        self.write("config", (
            f"[tsa]\ndefault_tsa=a\n[a]\nserial={self.folder}/serial\nsigner_cert={certificate}\nsigner_key={private}\n"
            f"certs={self.root}\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\ness_cert_id_alg=sha256\n"
        ).encode())  # fmt: skip
        query, answer = self.folder / "query.tsq", self.folder / "answer.tsr"
        self._openssl("ts", "-query", "-data", self.paper, "-sha256", "-cert", "-out", query)
        self._openssl("ts", "-reply", "-config", self.folder / "config", "-queryfile", query, "-out", answer)
        return answer

    def _openssl(self, *words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ask(desk: Desk, bench: Bench, *words: str | Path) -> Ran:
    return desk.antin("verify", "--json", "--offline", "--policy", "integrity", "--trust", bench.root, *words)


def brief(ran: Ran) -> tuple[int, str, str, str | None]:
    (line,) = ran.lines
    one = line["signatures"][0] if line["signatures"] else {"sub_indication": None}
    return ran.code, line["format"], line["verdict"], one["sub_indication"]


@pytest.mark.parametrize(
    ("how", "key", "level"),
    [
        (("-cades", "-md", "sha256"), "ec", "B-B"),
        (("-cades", "-md", "sha512"), "ec", "B-B"),
        (("-md", "sha384"), "rsa", "PKCS7-B"),
        (("-cades", "-md", "sha256", *PSS), "rsa", "B-B"),
        (("-cades", "-md", "sha3-256"), "rsa", "B-B"),
        (("-noattr", "-md", "sha256"), "rsa", "PKCS7-B"),
    ],
)
def test_a_signature_beside_its_content(
    desk: Desk, bench: Bench, how: tuple[str, ...], key: str, level: str
) -> None:
    private = (
        ec.generate_private_key(ec.SECP384R1()) if key == "ec" else rsa.generate_private_key(65537, 2048)
    )
    signature = bench.sign(*how, key=private)
    ran = ask(desk, bench, signature, "--content", bench.paper)
    assert brief(ran) == (0, "CAdES", "VALID", None)
    (one,) = ran.lines[0]["signatures"]
    assert (one["level"], one["signer"], one["coverage"]) == (level, "CN=An", "WHOLE_DOCUMENT")
    assert [each["name"] for each in one["signed_objects"]] == ["paper.txt"]
    failure = "SIG_CRYPTO_FAILURE" if "-noattr" in how else "HASH_FAILURE"
    assert brief(ask(desk, bench, signature, "--content", bench.other)) == (1, "CAdES", "INVALID", failure)
    wanted = ask(desk, bench, signature)
    assert brief(wanted) == (2, "CAdES", "INDETERMINATE", "SIGNED_DATA_NOT_FOUND")
    assert "CONTENT_WANTED" in wanted.out


def test_a_signature_around_its_content(desk: Desk, bench: Bench) -> None:
    signature = bench.sign("-cades", "-nodetach")
    assert brief(ask(desk, bench, signature)) == (0, "CAdES", "VALID", None)
    assert brief(ask(desk, bench, signature, "--content", bench.paper)) == (0, "CAdES", "VALID", None)
    assert brief(ask(desk, bench, signature, "--content", bench.other)) == (
        1,
        "CAdES",
        "INVALID",
        "HASH_FAILURE",
    )


def test_armour_and_old_hashes(desk: Desk, bench: Bench) -> None:
    assert brief(ask(desk, bench, bench.sign(form="PEM"), "--content", bench.paper))[:3] == (
        0,
        "CAdES",
        "VALID",
    )
    old = bench.sign("-cades", "-md", "sha1")
    assert brief(ask(desk, bench, old, "--content", bench.paper))[2:] == (
        "INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    )  # fmt: skip


def test_a_time_stamp_with_its_data(desk: Desk, bench: Bench) -> None:
    answer = bench.stamp()
    ran = ask(desk, bench, answer, "--data", bench.paper)
    assert brief(ran) == (0, "TST", "VALID", None)
    (one,) = ran.lines[0]["signatures"]
    assert (one["kind"], one["signer"], one["timestamps"][0]["authority"]) == (
        "DOCUMENT_TIMESTAMP", "CN=TSA", "CN=TSA"
    )  # fmt: skip
    assert brief(ask(desk, bench, answer, "--data", bench.other)) == (1, "TST", "INVALID", "HASH_FAILURE")
    assert brief(ask(desk, bench, answer)) == (2, "TST", "INDETERMINATE", "SIGNED_DATA_NOT_FOUND")
    shown = desk.antin(
        "verify", "--offline", "--policy", "integrity", "--trust", bench.root, answer, "--data", bench.paper
    )
    assert "TSA" in shown.out and shown.code == 0
    # Nobody vouches for the authority.
    other = bench.write("stranger.pem", root().x509.public_bytes(Encoding.PEM))
    stranger = desk.antin("verify", "--json", "--offline", "--trust", other, answer, "--data", bench.paper)
    assert brief(stranger) == (2, "TST", "INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


def test_what_is_neither_is_unreadable(desk: Desk, bench: Bench) -> None:
    bench.stamp()
    armour = b"-----BEGIN CMS-----\n" + base64.b64encode(b"\x30\x03\x02\x01\x00") + b"\n-----END CMS-----\n"
    for name, content in (
        ("query", (bench.folder / "query.tsq").read_bytes()),
        ("certificate", ROOT.der),
        ("zero", b"\x30\x80\x00\x00"),
        ("armour", armour),
        ("text", b"0123456789" * 100),
    ):
        ran = ask(desk, bench, bench.write(name, content))
        assert (ran.code, ran.lines[0]["verdict"], ran.lines[0]["signatures"]) == (1, "UNREADABLE", [])
        assert "NOT_A_SIGNATURE" in ran.out
    assert brief(ask(desk, bench, bench.paper, "--content", bench.paper))[:3] == (1, "CAdES", "UNREADABLE")
    assert ask(desk, bench, bench.paper, "--content", bench.folder / "nothing").code == 64
    assert ask(desk, bench, bench.paper, bench.root, "--content", bench.paper).code == 64


def test_no_changed_byte_of_a_signature_makes_it_one_of_other_content(bench: Bench) -> None:
    """Every try ends in facts of which no signature comes, or in a reason why the file cannot be read."""
    signature, chance = bench.sign("-cades").read_bytes(), random.Random(5)
    for _ in range(300):
        changed = bytearray(signature)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        try:
            facts = read_cades(bench.write("changed.p7s", bytes(changed)), bench.other)
        except CannotRead as wrong:
            assert wrong.code == "NOT_A_SIGNATURE"
        else:
            assert facts.signatures
            assert all(one.fault or one.broken or one.unjudged for one in facts.signatures)


def test_two_who_signed_beside_each_other(desk: Desk, bench: Bench) -> None:
    first = bench.sign("-cades", "-nodetach")
    both = bench.again(first)
    ran = ask(desk, bench, both)
    assert brief(ran)[:3] == (0, "CAdES", "VALID")
    both_of_them = ran.lines[0]["signatures"]
    assert [one["field"] for one in both_of_them] == ["1", "2"]
    flawless = [one.cms and one.cms.flaws for one in read_cades(both).signatures]
    assert flawless == [(), ()]
    # In the order of DER's SET OF, which hangs on their serial numbers.
    assert {one["signer"] for one in both_of_them} == {"CN=An", "CN=Binh"}
    # One of the two does not hold.
    broken = bytearray(both.read_bytes())
    broken[-8] ^= 1
    report = ask(desk, bench, bench.write("broken.p7s", bytes(broken)))
    assert report.lines[0]["verdict"] == "INVALID"
    assert {one["indication"] for one in report.lines[0]["signatures"]} == {"TOTAL-PASSED", "TOTAL-FAILED"}


def test_a_pdf_inside_a_signature(desk: Desk, bench: Bench) -> None:
    """By its bytes it may be either; a name that says so makes it a signature, another never a valid one."""
    bench.paper.write_bytes(letter())
    inside = bench.sign("-cades", "-nodetach").read_bytes()
    assert brief(ask(desk, bench, bench.write("paper.pdf.p7m", inside)))[:3] == (0, "CAdES", "VALID")
    assert ask(desk, bench, bench.write("paper.pdf", inside)).lines[0]["verdict"] in {
        "NO_SIGNATURE",
        "UNREADABLE",
    }


def test_attributes_sent_in_another_order(bench: Bench) -> None:
    """Signed is their DER, whose order is fixed (RFC 5652 5.4); the signature holds, and the order is told."""
    der = bench.sign("-cades").read_bytes()
    read = read_signed_data(der)
    sorted_set = read.signed_attributes or b""
    walk = Walk(sorted_set)
    outer = walk.element(0, len(sorted_set))
    members = [walk.whole(one) for one in walk.members(outer)]
    head = len(sorted_set) - sum(map(len, members))
    turned = der.replace(sorted_set[1:], sorted_set[1:head] + b"".join(reversed(members)))
    assert turned != der
    (found,) = read_cades(bench.write("turned.p7s", turned), bench.paper).signatures
    assert (found.fault, found.broken) == (None, None)
    assert found.cms is not None and NOT_DER in found.cms.flaws


def test_a_key_that_nobody_here_computes_with(desk: Desk, bench: Bench) -> None:
    """What cannot be judged is not false (V8): a curve that our libraries do not have."""
    der = bench.sign("-md", "sha256").read_bytes()
    prime256v1, other = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030108")
    changed = bench.write("other.p7s", der.replace(prime256v1, other))
    (found,) = read_cades(changed, bench.paper).signatures
    assert found.unjudged is not None
    assert (found.broken, found.unjudged.code) == (None, "ALGORITHM_UNKNOWN")
    assert ask(desk, bench, changed, "--content", bench.paper).lines[0]["verdict"] == "INDETERMINATE"
