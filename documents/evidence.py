"""This file keeps the evidence of a signature, and hands it out as one self-contained bundle.

- With every signature, B-B included: certificate, revocation data and the result of the check (Circular 15/2025 art 5).
- The bundle is a ZIP that verifies offline on another machine: renditions, certificates, revocation data, reports,
  audit records with their proofs, and a page that says what is what.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from sqlalchemy import select
from sqlalchemy.orm import Session

from documents.document import Document, Documents, recorded
from documents.judging import Judging
from documents.office import Caller, NotAllowed
from documents.requests import Held
from documents.signer_check import Checked
from documents.trail import audit_keys
from hsm.key import KeyVault
from signing.verification.report import Telling, to_json
from storage.database import WHOLE_SERVICE, Database
from storage.folder_access import passing
from storage.identifiers import uuid7
from storage.log.records import records_about
from storage.schema import EvidenceRow, SigningRequestRow
from storage.store import KeptName, ObjectStore, first_retention

REMEMBERED = 4096
CHUNK = 1 << 20  # bytes

READ_ME = """\
GÓI BẰNG CHỨNG / EVIDENCE BUNDLE

renditions/   các bản của văn bản, theo thứ tự / the document's renditions, in order
evidence/     chứng thư, CRL, OCSP tại thời điểm ký / certificates, CRLs and OCSP answers at signing
requests.json yêu cầu ký, kết quả kiểm tra chứng thư và tự kiểm tra / signing requests, checks, our own judgement
report.json   báo cáo kiểm tra khi lập gói / verification report when the bundle was made
audit.jsonl   bản ghi kiểm toán kèm chứng minh / audit records with their proofs
audit-key-*   khóa công khai của các điểm chốt / public key that signs the checkpoints
SHA256SUMS    mã băm của mọi tệp / digests of every file (sha256sum -c SHA256SUMS)

Kiểm tra / check:  antin verify --offline --trust ANCHOR.pem renditions/*.pdf
Bản ghi / records: RFC 9162 2.1.3.2 từ SHA-256(0x00 || body) qua path tới root của checkpoint; signature ký text bằng
                   audit-key. proof là null khi chưa chốt được: tải lại gói sau ít phút. / from SHA-256(0x00 || body)
                   along path to the checkpoint's root; its text is signed under audit-key. proof is null where no
                   checkpoint could be taken: fetch the bundle again some minutes later.
"""


class EvidenceKeeper:
    def __init__(self, store: ObjectStore, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        # What is known to be kept, and until when: a CRL comes with every signature, a certificate for years.
        self._kept: dict[tuple[UUID, str], datetime] = {}

    async def keep(self, held: Held, certificate: bytes, checked: Checked) -> Sequence[tuple[str, str]]:
        """Kind and SHA-256 of each, for the row that names it. Raises StoreUnavailable."""
        return [(kind, await self._keep(held.agency, one)) for kind, one in _things(certificate, checked)]

    @staticmethod
    def names(certificate: bytes, checked: Checked) -> tuple[tuple[str, str], ...]:
        """Kind and SHA-256 of what `keep` would keep."""
        return tuple((kind, hashlib.sha256(one).hexdigest()) for kind, one in _things(certificate, checked))

    async def _keep(self, agency: UUID, content: bytes) -> str:
        sha256, now = hashlib.sha256(content).hexdigest(), self._clock()
        until = first_retention(now)
        if self._kept.get((agency, sha256), now) >= until:
            return sha256
        file = self._store.scratch() / f"{uuid7(now)}.evidence"
        with passing(file):
            file.write_bytes(content)
            await self._store.kept.keep(KeptName(agency, sha256), file, retain_until=until)
        if len(self._kept) >= REMEMBERED:
            self._kept.clear()
        self._kept[agency, sha256] = until
        return sha256


def _things(certificate: bytes, checked: Checked) -> list[tuple[str, bytes]]:
    things = [("certificate", one) for one in dict.fromkeys((certificate, *checked.certificates))]
    return things + [("crl", one) for one in checked.crls] + [("ocsp", one) for one in checked.ocsps]


async def _not() -> None:
    return None


class EvidenceBundle:
    def __init__(  # noqa: PLR0913 - what it is put together from, each by its name
        self,
        db: Database,
        store: ObjectStore,
        documents: Documents,
        judging: Judging,
        clock: Callable[[], datetime],
        *,
        keys: KeyVault,
        cover: Callable[[], Awaitable[None]] = _not,
    ) -> None:
        """`cover` takes a checkpoint of what is recorded, if it can."""
        self._db, self._store, self._documents = db, store, documents
        self._judging, self._clock, self._keys, self._cover = judging, clock, keys, cover

    def write(self, caller: Caller, document: UUID, *, say: Telling) -> AbstractAsyncContextManager[Path]:
        """The ZIP as a file, gone after the block. Raises NoSuchDocument, NotAllowed, StoreUnavailable, Damaged."""
        return self._write(caller, document, say)

    @asynccontextmanager
    async def _write(self, caller: Caller, document: UUID, say: Telling) -> AsyncIterator[Path]:
        if not caller.may("documents:read"):
            raise NotAllowed("documents:read")
        found = await self._documents.get(caller, document)
        file = self._store.scratch() / f"{uuid7(self._clock())}.zip"
        with passing(file):
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bundle:
                sums = Sums(bundle, self._clock())
                sums.text("README.txt", READ_ME)
                await self._add_renditions(sums, found)
                await self._add_facts(sums, found)
                for number, key in enumerate(await audit_keys(self._keys), 1):
                    sums.text(f"audit-key-{number}.pem", _pem(key.public_key))
                async with self._documents.open(caller, found) as newest:
                    report = await self._judging.of_kept(newest, name=found.name, sha256=found.sha256 or "")
                sums.json("report.json", to_json(report, say=say))
                sums.end()
            yield file

    async def _add_renditions(self, sums: Sums, document: Document) -> None:
        for one in document.renditions:
            async with recorded(self._store, KeptName(document.agency, one.sha256)) as path:
                await sums.file(f"renditions/{one.ordinal:02}-{one.kind.value}.pdf", path, one.sha256)

    async def _add_facts(self, sums: Sums, document: Document) -> None:
        def work(session: Session) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
            rows = list(
                session.scalars(select(SigningRequestRow).where(SigningRequestRow.document == document.id))
            )
            requests = [
                {
                    "id": str(r.id), "key": r.key, "level": r.level, "reached": r.reached, "state": r.state,
                    "check": r.check, "judgement": r.judgement, "problem": r.problem,
                }
                for r in rows
            ]  # fmt: skip
            evidence = session.execute(
                select(EvidenceRow.kind, EvidenceRow.sha256)
                .where(EvidenceRow.request.in_([r.id for r in rows]))
                .distinct()
            )
            return requests, [(kind, sha) for kind, sha in evidence]

        requests, evidence = await self._db.read(document.agency, work)
        told = partial(records_about, about=document.id, agency=document.agency)
        records = await self._db.read(WHOLE_SERVICE, told)
        if any(one["proof"] is None for one in records):
            await self._cover()
            records = await self._db.read(WHOLE_SERVICE, told)
        sums.json("requests.json", requests)
        sums.text("audit.jsonl", "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records))
        for kind, sha256 in evidence:
            async with recorded(self._store, KeptName(document.agency, sha256)) as path:
                ending = {"certificate": "cer", "crl": "crl", "ocsp": "ors"}[kind]
                await sums.file(f"evidence/{sha256[:16]}.{ending}", path, sha256)


def _pem(public_key: bytes) -> str:
    loaded = load_der_public_key(public_key)
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Sums:
    """A ZIP being written, with the digest of every file in it."""

    def __init__(self, bundle: zipfile.ZipFile, made: datetime) -> None:
        self._bundle, self._lines = bundle, list[str]()
        self._made = made.timetuple()[:6]

    async def file(self, name: str, path: Path, sha256: str) -> None:
        """As it is, and beside the event loop: a document may be large, and is compressed already."""
        await asyncio.to_thread(self._copy, name, path)
        self._lines.append(f"{sha256}  {name}\n")

    def _copy(self, name: str, path: Path) -> None:
        entry = zipfile.ZipInfo(name, self._made)
        entry.file_size = path.stat().st_size
        with path.open("rb") as source, self._bundle.open(entry, "w") as out:
            shutil.copyfileobj(source, out, CHUNK)

    def text(self, name: str, text: str) -> None:
        self._write(name, text)
        self._lines.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")

    def json(self, name: str, value: Any) -> None:
        self.text(name, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")

    def end(self) -> None:
        self._write("SHA256SUMS", "".join(self._lines))

    def _write(self, name: str, text: str) -> None:
        entry = zipfile.ZipInfo(name, self._made)
        entry.compress_type = zipfile.ZIP_DEFLATED
        self._bundle.writestr(entry, text)
