"""What a clerk must be shown of a certificate (Circular 15/2025/TT-BKHCN article 6): this file takes it out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from asn1crypto.x509 import Name

from signing.trust.certificate import MALFORMED, NotACertificate, read, rfc4514
from signing.verification.report import CertificateFacts

COMMON_NAME, ORGANIZATION, TITLE = "2.5.4.3", "2.5.4.10", "2.5.4.12"


def facts_of(path: Iterable[bytes]) -> tuple[CertificateFacts, ...]:
    """Of those that can be read."""
    return tuple(facts for one in path if (facts := _facts(one)) is not None)


@lru_cache(maxsize=1024)
def _facts(der: bytes) -> CertificateFacts | None:
    try:
        one = read(der)
        named = _named(one.subject_der)
        return CertificateFacts(
            subject=one.subject_text,
            issuer=rfc4514(Name.load(one.issuer_der)),
            common_name=named.get(COMMON_NAME) or one.subject_text,
            organization=named.get(ORGANIZATION),
            title=named.get(TITLE),
            serial=f"{one.serial:x}",
            not_before=one.not_before,
            not_after=one.not_after,
            sha256=one.sha256,
        )
    except (NotACertificate, *MALFORMED):
        return None


def _named(subject: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for relative in Name.load(subject).chosen:
        for one in relative:
            value = one["value"].native
            if isinstance(value, str):
                found.setdefault(one["type"].dotted, value)
    return found
