"""What strangers say of a signed file: this file asks poppler, qpdf, OpenSSL, pyHanko, pdfium and
the EU's DSS."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pypdfium2
from asn1crypto.x509 import Certificate
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

_TIMEOUT = 60
_TOP = Path(__file__).parents[1]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT)


@dataclass(frozen=True)
class Said:
    """Of one signature, in pdfsig's words."""

    validation: str
    whole: bool


def pdfsig(file: Path, password: str | None = None) -> list[Said]:
    """Every signature field that holds one, in the file's order."""
    given = ["-opw", password, "-upw", password] if password else []
    out = _run("pdfsig", "-nocert", *given, str(file)).stdout
    found = []
    for block in re.split(r"^Signature #\d+:", out, flags=re.M)[1:]:
        said = re.search(r"Signature Validation: (.*)", block)
        found.append(Said(said[1].strip() if said else "", "- Total document signed" in block))
    return found


def qpdf_check(file: Path, password: str | None = None) -> tuple[int, str]:
    """0 sound, 3 with warnings, 2 errors; and what it said."""
    done = _run("qpdf", *([f"--password={password}"] if password else []), "--check", str(file))
    return done.returncode, done.stderr


def openssl_verify(folder: Path, cms: bytes, covered: bytes, root: bytes | None = None) -> bool:
    """`openssl cms -verify` over the covered bytes; without a root the chain is not its matter."""
    (folder / "cms.der").write_bytes(cms)
    (folder / "covered").write_bytes(covered)
    trust = ["-noverify"]
    if root is not None:
        (folder / "root.der").write_bytes(root)
        trust = ["-CAfile", str(folder / "root.der"), "-purpose", "any", "-no_check_time"]
    done = _run(
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", str(folder / "cms.der"), "-content",
        str(folder / "covered"), "-out", str(folder / "out"), *trust,
    )  # fmt: skip
    return done.returncode == 0


def pyhanko(
    file: Path, *roots: bytes, password: str | None = None, strict: bool = True, number: int = -1
) -> PdfSignatureStatus:
    """What it says of one signature, by default the last in the file's order; without revocation."""
    trusted = [Certificate.load(root) for root in roots]
    with file.open("rb") as opened:
        reader = PdfFileReader(opened, strict=strict)
        if reader.encrypted:
            reader.decrypt(password or "")
        return validate_pdf_signature(
            reader.embedded_regular_signatures[number],
            ValidationContext(trust_roots=trusted, allow_fetching=False),
            key_usage_settings=KeyUsageConstraints(key_usage=set()),
        )


def dss(root: Path, *files: tuple[Path, str | None], at: datetime | None = None) -> list[list[str]]:
    """What the EU's validator says of each file (with its password), now or at a time, as `tests/dss/__main__.py` tells."""
    asked = json.dumps([(str(file), password) for file, password in files])
    command = (sys.executable, "-m", "tests.dss", str(root), *([str(at.timestamp())] if at else []))
    done = subprocess.run(command, input=asked, cwd=_TOP, stdout=subprocess.PIPE, text=True, check=True)
    said: list[list[str]] = json.loads(done.stdout)
    return said


def rendered(file: Path, password: str | None = None, *, most: int = 10_000, scale: float = 0.5) -> list[str]:
    """A digest of each page's picture as pdfium draws it, fields apart (poppler draws those); what cannot be drawn
    says why."""
    pictures = []
    try:
        with pypdfium2.PdfDocument(file, password=password) as pdf:
            for number in range(min(len(pdf), most)):
                pictures.append(_picture(pdf, number, scale))
    except (pypdfium2.PdfiumError, ValueError) as wrong:
        pictures.append(str(wrong))
    return pictures


def _picture(pdf: pypdfium2.PdfDocument, number: int, scale: float) -> str:
    try:
        page = pdf[number]
        wide, high = page.get_size()
        fitting = min(scale, 1000 / max(wide, high, 1))
        bitmap = page.render(scale=fitting, may_draw_forms=True)
        return hashlib.sha256(bytes(bitmap.buffer)).hexdigest() + f" {bitmap.width}x{bitmap.height}"
    except (pypdfium2.PdfiumError, ValueError) as wrong:
        return str(wrong)


def drawn_by_poppler(
    file: Path, folder: Path, password: str | None = None, *, last: int = 10_000
) -> list[str]:
    """A digest of each page's picture as poppler draws it."""
    given = ["-upw", password, "-opw", password] if password else []
    _run("pdftoppm", "-r", "20", "-scale-to", "300", "-l", str(last), *given, str(file), str(folder / "page"))
    return [hashlib.sha256(page.read_bytes()).hexdigest() for page in sorted(folder.glob("page*"))]
