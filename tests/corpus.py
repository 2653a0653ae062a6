"""Signs every PDF of a folder and asks strangers about each: `python -m tests.corpus FOLDER [--json FILE]`.

For files that we did not make and do not keep. Each is prepared and completed in a process of its own; then: the old bytes
are a prefix, qpdf finds nothing that it did not find before, pdfsig and pyHanko call the signature valid over the whole
file, and pdfium and poppler draw every page as before. Whatever fails of that is DAMAGED.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from hsm.key import Mechanism
from signing import pades
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.verification.own_work import NotAccepted, judge
from signing.verification.pdf import Question
from signing.verification.pdf import judge as verify
from signing.verification.plain_reading import read_pdf
from signing.verification.policy import load_policy
from signing.verification.report import Indication, TimeSource
from tests import strangers

LONGEST, MOST_PAGES = 180, 12
_CONTEXT = multiprocessing.get_context("fork")


def signer() -> tuple[ec.EllipticCurvePrivateKey, pades.Signer]:
    """A key for this run, with a certificate that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "DEMO signer of a test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    nobody = UUID(int=0)
    return key, pades.Signer(
        certificate, (), Mechanism.ECDSA_SHA256, "key", nobody, nobody, nobody, now + timedelta(days=1)
    )


def sign(file: Path, out: Path, wish: pades.Wish) -> PreparedSignature:
    """Prepared and completed."""
    key, who = signer()
    prepared = pades.prepare(file, out, wish=wish, signer=who)
    signature = key.sign(prepared.to_sign, ec.ECDSA(hashes.SHA256()))
    pades.complete(prepared, out, signature=signature)
    return prepared


def _one(file: Path, answer: Any, *, javascript: bool) -> None:
    warnings.simplefilter("ignore")
    begun = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            told = _judged(file, Path(folder), javascript=javascript)
            answer.send(told | {"seconds": round(time.perf_counter() - begun, 3)})
    except Exception as wrong:
        answer.send({"result": "CRASHED", "why": f"{wrong!r:.300} {traceback.format_exc()[-600:]}"})


def _judged(file: Path, folder: Path, *, javascript: bool) -> dict[str, Any]:
    out = folder / "signed.pdf"
    wish = pades.Wish(Level.B_B, claimed_time=datetime.now(UTC), allow_javascript=javascript)
    begun = time.perf_counter()
    try:
        prepared = sign(file, out, wish)
    except pades.CannotSign as refused:
        return {"result": "REFUSED", "why": str(refused.reason), "detail": refused.detail}
    took = round(time.perf_counter() - begun, 3)
    damages = [name for name, check in _CHECKS.items() if not check(file, out, folder)]
    damages += filter(
        None,
        (_pyhanko(file, out, prepared.certificate), _judge(file, out, prepared), _verified(out, prepared)),
    )
    return {"result": "DAMAGED" if damages else "SIGNED", "why": "; ".join(damages), "took": took}


def _prefix(file: Path, out: Path, _: Path) -> bool:
    return out.read_bytes().startswith(file.read_bytes())


def _qpdf(file: Path, out: Path, _: Path) -> bool:
    order = {0: 0, 3: 1, 2: 2}
    return order[strangers.qpdf_check(out)[0]] <= order[strangers.qpdf_check(file)[0]]


def _pdfsig(_: Path, out: Path, __: Path) -> bool:
    said = strangers.pdfsig(out)
    return bool(said) and said[-1].validation == "Signature is Valid." and said[-1].whole


def _pdfium(file: Path, out: Path, _: Path) -> bool:
    before, after = (strangers.rendered(one, most=MOST_PAGES) for one in (file, out))
    return before == after or _unsteady(file, before)


def _unsteady(file: Path, before: list[str]) -> bool:
    """Some broken pictures are drawn from memory that nobody wrote to: another time, another picture."""
    return any(strangers.rendered(file, most=MOST_PAGES) != before for _ in range(5))


def _poppler(file: Path, out: Path, folder: Path) -> bool:
    def drawn(one: Path) -> list[str]:
        return strangers.drawn_by_poppler(one, Path(tempfile.mkdtemp(dir=folder)), last=MOST_PAGES)

    before = drawn(file)
    return drawn(out) == before or any(drawn(file) != before for _ in range(5))


_CHECKS = {"prefix": _prefix, "qpdf": _qpdf, "pdfsig": _pdfsig, "pdfium": _pdfium, "poppler": _poppler}


def _pyhanko(file: Path, out: Path, certificate: bytes) -> str:
    """Strictly if the file allows that, else as leniently as it reads the file at all."""
    said = ""
    for strict in (True, False):
        try:
            last = strangers.pyhanko(out, certificate, strict=strict)
        except Exception as wrong:
            said += f" pyhanko strict={strict}: {wrong!r:.200}"
            continue
        whole = last.coverage is not None and last.coverage.name == "ENTIRE_FILE"
        return (
            ""
            if last.intact and last.valid and whole
            else f"pyhanko {last.intact} {last.valid} {last.coverage}"
        )
    return said if _pyhanko_signs(file) else ""


def _judge(file: Path, out: Path, prepared: PreparedSignature) -> str:
    """The judge of our own work, which nothing passes by."""
    trust = TrustSnapshot((Anchor(prepared.certificate),))
    try:
        judge(file, out, prepared, trust=trust, password=None, timestamped=False)
    except NotAccepted as refused:
        return f"judge {refused}"
    return ""


def _verified(out: Path, prepared: PreparedSignature) -> str:
    """What we say to who brings the file. Form that was filled after an earlier signature is not ours to answer for."""
    question = Question(
        name=out.name,
        sha256="",
        trust=TrustSnapshot((Anchor(prepared.certificate),)),
        policy=load_policy("integrity"),
        at=datetime.now(UTC),
        time_source=TimeSource.NOW,
    )
    report = asyncio.run(verify(read_pdf(out), question, None))
    ours = report.signatures[-1]
    if ours.field == prepared.field and ours.indication is Indication.TOTAL_PASSED:
        return ""
    return (
        f"verification {report.verdict} {ours.field} {ours.indication} {[one.code for one in ours.findings]}"
    )


def _pyhanko_signs(file: Path) -> bool:
    """Whether it could read the file before us; by our key, in memory."""
    try:
        with file.open("rb") as opened:
            writer = IncrementalPdfFileWriter(opened, strict=False)
            if writer.prev.encrypted:
                writer.encrypt("")  # type: ignore[no-untyped-call]
            list(writer.prev.embedded_signatures)  # the earlier ones, whose form may stop it
            append_signature_field(writer, SigFieldSpec("Field"))
            writer.write(BytesIO())  # type: ignore[no-untyped-call]
            return True
    except Exception:
        return False


def _watched(file: Path, *, javascript: bool) -> dict[str, Any]:
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    child = _CONTEXT.Process(target=_one, args=(file, theirs), kwargs={"javascript": javascript}, daemon=True)
    child.start()
    theirs.close()
    try:
        return dict(mine.recv()) if mine.poll(LONGEST) else {"result": "HUNG", "why": f"{LONGEST} s"}
    except EOFError:
        return {"result": "CRASHED", "why": "the process died"}
    finally:
        child.kill()
        child.join()
        mine.close()


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--json", type=Path)
    asked.add_argument("--match", default="")
    asked.add_argument("--javascript", action="store_true", help="sign what carries JavaScript too")
    asked.add_argument("--workers", type=int, default=2)
    given = asked.parse_args()
    files = sorted(one for one in given.folder.rglob("*.pdf") if given.match in str(one))
    with ThreadPoolExecutor(given.workers) as workers:
        answers = list(workers.map(partial(_watched, javascript=given.javascript), files))
    lines = [
        {"file": str(file.relative_to(given.folder))} | one for file, one in zip(files, answers, strict=True)
    ]
    if given.json:
        given.json.write_text("".join(json.dumps(line) + "\n" for line in lines))
    counted = Counter(
        one["result"] if one["result"] == "SIGNED" else f"{one['result']} {one['why'][:60]}" for one in lines
    )
    for what, count in counted.most_common():
        print(f"{count:5} {what}")
    return 1 if any(one["result"] not in {"SIGNED", "REFUSED"} for one in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
