"""What the EU's Digital Signature Service says of signed files, by its own policy for signatures (ETSI EN 319 102-1).

`python -m tests.dss ROOT [AT]` reads `[[FILE, PASSWORD or null], ...]` from its input and prints a list for each file: of every
signature, then of every time-stamp, its indication, sub-indication and level, and each error and warning. It believes ROOT
alone, asks for revocation at the addresses in the certificates, and judges now or at AT (seconds since 1970). A process of its own: a JVM leaves no way back.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jpype

JVM = "/usr/lib/jvm/default-java/lib/server/libjvm.so"  # Debian's default-jre-headless


def jars() -> Path:
    """As scripts/setup.sh names them, or has fetched them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antin"
    for one in (os.environ.get("ANTIN_DSS"), *cache.glob("dss-????????????")):
        if one and Path(one).is_dir():
            return Path(one)
    raise SystemExit("The EU's DSS is missing: scripts/test fetches it, ANTIN_DSS names it")


def _java(name: str) -> Any:
    return jpype.JClass(name)


def _dss(name: str) -> Any:
    return _java(f"eu.europa.esig.dss.{name}")


def verifier(root: str) -> Any:
    trusted = _dss("spi.x509.CommonTrustedCertificateSource")()
    trusted.addCertificate(_dss("spi.DSSUtils").loadCertificate(_java("java.io.File")(root)))
    made = _dss("spi.validation.CommonCertificateVerifier")()
    made.setTrustedCertSources(trusted)
    made.setCrlSource(_dss("service.crl.OnlineCRLSource")())
    made.setOcspSource(_dss("service.ocsp.OnlineOCSPSource")())
    return made


def judge(file: str, password: str | None, root: str, at: float | None) -> list[str]:
    document = _dss("model.FileDocument")(_java("java.io.File")(file))
    validator = _dss("pades.validation.PDFDocumentValidator")(document)
    validator.setCertificateVerifier(verifier(root))
    if password is not None:
        validator.setPasswordProtection(_java("java.lang.String")(password).toCharArray())
    if at is not None:
        validator.setValidationTime(_java("java.util.Date")(int(at * 1000)))
    return list(_said(validator.validateDocument()))


def _said(reports: Any) -> Iterator[str]:
    """Whether a certificate is on the EU's trusted lists is asked too, and is not our matter."""
    report = reports.getSimpleReport()
    for one in [*report.getSignatureIdList(), *reports.getDiagnosticData().getTimestampIdList()]:
        sub, level = report.getSubIndication(one), report.getSignatureFormat(one)
        yield " ".join(str(word) for word in (report.getIndication(one), sub, level) if word is not None)
        for said in [*report.getAdESValidationErrors(one), *report.getAdESValidationWarnings(one)]:
            yield f"{said.getKey()}: {said.getValue()}"


if __name__ == "__main__":
    # Short work for the machine: it is compiled once, and lightly.
    lightly = ("-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    jpype.startJVM(JVM, *lightly, classpath=[f"{jars()}/*"])
    root, *moment = sys.argv[1:]
    at = float(moment[0]) if moment else None
    print(json.dumps([judge(file, password, root, at) for file, password in json.load(sys.stdin)]))
