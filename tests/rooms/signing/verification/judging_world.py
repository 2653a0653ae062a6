"""What the tests of verification share: this file signs papers by our own maker and by pyHanko, forges them by hand, and asks
for a judgement as a stranger would, over the live services of the test world."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import httpx
from asn1crypto import keys as asn1_keys
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers, timestamps
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from hsm.key import Mechanism
from signing import longterm, pades
from signing.profile import Level
from signing.timestamping.token import read_token
from signing.trust.anchors import TrustSnapshot
from signing.trust.fetcher import Fetcher, Reach
from signing.trust.path import find_path
from signing.trust.revocation import Revocation
from signing.verification import replay
from signing.verification.answer import answer, read
from signing.verification.pdf import Question
from signing.verification.pdf_reading import read_by_qpdf
from signing.verification.plain_reading import all_that_is_plain
from signing.verification.policy import load_policy
from signing.verification.report import Report, SignatureReport, TimeSource
from signing.wishes import Signer, Wish
from signing.workshop import Workshop
from tests.pki import Pki
from tests.steering import SteerableClock

ROOM = 8192
Edit = Callable[[IncrementalPdfFileWriter], None]


def readers_agree(file: Path) -> bool:
    """Whether our own reader says anything of it. Raises AssertionError where qpdf says something else; what qpdf leaves out of
    an object (an entry that leads nowhere) may be a change more here."""
    with file.open("rb") as opened:
        mine = all_that_is_plain(file, opened)
        if mine is None or mine.doubts or not mine.signatures:
            return False
        other = read_by_qpdf(file, opened, None)
    pairs = zip(mine.steps, other.steps, strict=True)
    assert all({*theirs.events} <= {*ours.events} for ours, theirs in pairs)
    assert replace(mine, steps=()) == replace(other, steps=())
    return True


class _OurTsa(timestamps.TimeStamper):
    """pyHanko's side of the test world's authority."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return tsp.TimeStampResp.load(_asked(self._url, req.dump()))


def _asked(url: str, request: bytes) -> bytes:
    answered = httpx.post(
        url, content=request, headers={"Content-Type": "application/timestamp-query"}, trust_env=False
    )
    return answered.raise_for_status().content


class World:
    def __init__(self, folder: Path, lives: Mapping[str, tuple[int, int]] = MappingProxyType({})) -> None:
        self.folder, self.clock = folder, SteerableClock()
        keys = folder / "keys"
        keys.mkdir()
        self.pki = Pki(keys, self.clock, lives)
        self._runner = asyncio.Runner()
        self._people: dict[str, rsa.RSAPrivateKey] = {}
        self._number = 0

    def __enter__(self) -> World:
        self.pki.__enter__()
        self._runner.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._close())
        self._runner.close()
        self.pki.__exit__()

    async def _open(self) -> None:
        self.workshop = Workshop(1)
        await self.workshop.start()
        self._fetcher = Fetcher(Reach.allowing(["127.0.0.0/8"]))

    async def _close(self) -> None:
        await self.workshop.close()
        await self._fetcher.close()

    # -- people

    def person(self, label: str = "official", *, years: tuple[int, int] = (2020, 2040)) -> rsa.RSAPrivateKey:
        if label not in self._people:
            self._people[label] = self.pki.person(label, years=years)
        return self._people[label]

    def person_for(self, label: str, *purposes: str) -> rsa.RSAPrivateKey:
        """Whose certificate is for these purposes."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, label)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        self.pki.issue(label, request.public_bytes(Encoding.DER), purposes=purposes)
        self._people[label] = key
        return key

    # -- signing by pyHanko

    def theirs(
        self, paper: bytes, *, who: str = "official", field: str = "S1", stamped: bool = False, lt: bool = False,
        lta: bool = False, box: tuple[int, int, int, int] | None = None, **more: Any,
    ) -> bytes:  # fmt: skip
        key = self.person(who)
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        certs = SimpleCertificateStore()
        certs.register_multiple([asn1_x509.Certificate.load(one) for one in self.pki.chain])
        signer = signers.SimpleSigner(
            signing_cert=asn1_x509.Certificate.load(self.pki.certificate(who)),
            signing_key=asn1_keys.PrivateKeyInfo.load(private),
            cert_registry=certs,
        )
        more.setdefault("subfilter", SigSeedSubFilter.PADES)
        if lt or lta:
            root = asn1_x509.Certificate.load(self.pki.certificate("root"))
            more["validation_context"] = ValidationContext(
                trust_roots=[root], allow_fetching=True, moment=None
            )
            more |= {"embed_validation_info": True, "use_pades_lta": lta}
        spec = SigFieldSpec(field, on_page=0, box=box) if box else None
        strict = more.pop("strict", True)
        out = signers.sign_pdf(
            IncrementalPdfFileWriter(BytesIO(paper), strict=strict),
            PdfSignatureMetadata(field_name=field, **more),
            signer=signer,
            timestamper=_OurTsa(self.pki.tsa_url) if stamped or lt or lta else None,
            new_field_spec=spec,
        )
        return bytes(out.getvalue())

    # -- signing by our own maker

    def ours(
        self, paper: bytes, level: Level = Level.B_B, *, who: str = "official", password: str | None = None, **wish: Any
    ) -> bytes:  # fmt: skip
        key, certificate = self.person(who), self.pki.certificate(who)
        source, out = self._file(paper), self._file(b"")
        signer = Signer(
            certificate=certificate, chain=self.pki.chain, mechanism=Mechanism.RSA_PKCS1_SHA256, key=who,
            agency=UUID(int=1), person=UUID(int=2), request=UUID(int=3), expires=self.clock() + timedelta(hours=1),
        )  # fmt: skip
        stamped = level >= Level.B_T
        prepared = pades.prepare(
            source, out, wish=Wish(level=level, **wish), signer=signer, password=password,
            timestamp_room=ROOM if stamped else 0,
        )  # fmt: skip
        value = key.sign(prepared.to_sign, padding.PKCS1v15(), hashes.SHA256())
        token = self.token(value) if stamped else None
        pades.complete(prepared, out, signature=value, timestamp=token)
        if level >= Level.B_LT:
            longterm.add_material(out, self.material(who, token or b""))
        if level >= Level.B_LTA:
            waiting = longterm.prepare_archive_timestamp(out, ROOM)
            longterm.complete_archive_timestamp(out, waiting, self.token_over(waiting.digest))
        return out.read_bytes()

    def token(self, signature: bytes) -> bytes:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(signature)
        return self.token_over(digest.finalize())

    def token_over(self, digest: bytes, hash_name: str = "sha256") -> bytes:
        request = tsp.TimeStampReq({
            "version": 1, "cert_req": True,
            "message_imprint": {"hash_algorithm": {"algorithm": hash_name}, "hashed_message": digest},
        })  # fmt: skip
        answered = tsp.TimeStampResp.load(_asked(self.pki.tsa_url, request.dump()))
        return bytes(answered["time_stamp_token"].dump())

    def material(self, who: str, token: bytes) -> longterm.Material:
        trust = self.pki.trust
        path = find_path(self.pki.certificate(who), self.pki.chain, trust, self.clock())
        gathered = self._runner.run(self.revocation().check(path, at=self.clock()))
        more = self.material_of_tokens(token) if token else longterm.Material()
        return longterm.Material(
            tuple(dict.fromkeys([*gathered.certificates, *self.pki.chain, *more.certificates])),
            tuple(dict.fromkeys([*gathered.crls, *more.crls])),
            tuple(gathered.ocsps),
        )

    def material_of_tokens(self, *tokens: bytes) -> longterm.Material:
        """Of their authorities, as it can be had now."""
        certificates, crls = list[bytes](), list[bytes]()
        for token in map(read_token, tokens):
            path = find_path(
                token.signer, (*token.certificates, *self.pki.chain), self.pki.trust, self.clock()
            )
            gathered = self._runner.run(self.revocation().check(path, at=self.clock()))
            certificates, crls = [*certificates, *gathered.certificates], [*crls, *gathered.crls]
        return longterm.Material(tuple(dict.fromkeys(certificates)), tuple(dict.fromkeys(crls)))

    def renewed(self, paper: bytes) -> bytes:
        """Dated again, now, by the authority that stamps now."""
        file = self._file(paper)
        material = self.material_of_tokens(*longterm.undated(file))
        waiting = longterm.renew(file, material, ROOM)
        longterm.complete_archive_timestamp(file, waiting, self.token_over(waiting.digest))
        return file.read_bytes()

    def revocation(self) -> Revocation:
        return Revocation(self._fetcher, clock=self.clock)

    # -- forging

    def forced(self, paper: bytes, **more: Any) -> bytes:
        """Signed though an earlier certification forbids it: no maker does so by itself."""
        permitted = paper.replace(b"/P 1\n", b"/P 3\n")
        assert permitted != paper
        return self.theirs(permitted, **more).replace(b"/P 3\n", b"/P 1\n")

    def edited(self, paper: bytes, edit: Edit) -> bytes:
        """An update by hand."""
        writer = IncrementalPdfFileWriter(BytesIO(paper), strict=False)
        edit(writer)
        out = BytesIO()
        writer.write(out)
        return out.getvalue()

    def raw_update(self, paper: bytes, objects: dict[int, bytes], *, root: int = 1) -> bytes:
        """An update by hand, with a table of cross-references of its own."""
        previous = int(paper.rpartition(b"startxref")[2].split()[0])
        whole, table = bytearray(paper), bytearray(b"xref\n")
        for number, said in sorted(objects.items()):
            table += b"%d 1\n%010d 00000 n \n" % (number, len(whole))
            whole += b"%d 0 obj\n%s\nendobj\n" % (number, said)
        section = len(whole)
        whole += table + b"trailer\n<< /Root %d 0 R /Prev %d /Size 100 >>\n" % (root, previous)
        return bytes(whole + b"startxref\n%d\n%%%%EOF\n" % section)

    @contextmanager
    def later(self, **by: float) -> Iterator[None]:
        moved = timedelta(**by)
        self.clock.move(moved)
        try:
            yield
        finally:
            self.clock.move(-moved)

    # -- judging

    def judge(
        self, paper: bytes, *, policy: str = "vn-official", at: datetime | None = None, offline: bool = False,
        trust: TrustSnapshot | None = None, crls: tuple[bytes, ...] = (), password: str | None = None,
        source: TimeSource | None = None,
    ) -> Report:  # fmt: skip
        """Every file that is judged is also held against both readers of PDF."""
        file = self._file(paper)
        if password is None:
            readers_agree(file)
        question = Question(
            name="paper.pdf",
            sha256="",
            trust=trust or self.pki.trust,
            policy=load_policy(policy),
            at=at or self.clock(),
            time_source=source or (TimeSource.GIVEN if at else TimeSource.NOW),
            password=password,
            crls=crls,
        )
        return self._runner.run(
            answer(
                file,
                question,
                workshop=self.workshop,
                revocation=None if offline else self.revocation(),
            )
        )

    def seen(self, paper: bytes, *, offline: bool = False) -> tuple[Report, bytes]:
        """Judged now, and what was seen, as it is stored."""
        question = Question(
            name="paper.pdf", sha256="", trust=self.pki.trust, policy=load_policy("vn-official"), at=self.clock(),
            time_source=TimeSource.NOW,
        )  # fmt: skip
        heard = None if offline else replay.Listening(self.revocation(), clock=self.clock)

        async def work() -> tuple[Report, bytes]:
            found = await read(self._file(paper), None, workshop=self.workshop)
            seen = replay.seen(question, found)
            report = await replay.judge(seen, question, heard)
            return report, replay.write(seen.beside(question, heard))

        return self._runner.run(work())

    def again(self, stored: bytes, *, at: datetime | None = None, policy: str = "vn-official") -> Report:
        """From what was stored, without asking anybody."""
        question = Question(
            name="", sha256="", trust=self.pki.trust, policy=load_policy(policy), at=at or self.clock(),
            time_source=TimeSource.GIVEN if at else TimeSource.NOW,
        )  # fmt: skip
        return self._runner.run(replay.judge_again(replay.read(stored), question, None))

    def _file(self, content: bytes) -> Path:
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(content)
        return Path(file.name)


def brief(report: Report) -> tuple[str, list[str]]:
    """Verdict, and the sub-indication or else the level of each signature."""
    said = [_said(one) for one in report.signatures]
    return report.verdict.value, said


def _said(one: SignatureReport) -> str:
    if one.sub_indication:
        return one.sub_indication.value
    if one.indication.value != "TOTAL-PASSED":
        return one.indication.value
    return one.level or "TIMESTAMP"


def kinds(report: Report, number: int = 0) -> list[tuple[str, bool]]:
    return [(one.kind, one.allowed) for one in report.signatures[number].changes_after]


def codes(report: Report, number: int | None = None) -> set[str]:
    findings = report.findings if number is None else report.signatures[number].findings
    return {one.code for one in findings}
