"""What a certificate's key is for (V5): this file says whether it may stand under a document.

- Only what the certificate says counts: an extension that is absent forbids nothing (RFC 5280 4.2.1.3, 4.2.1.12).
- The Government's certificates of 2014 and 2019 carry TLS client, e-mail protection and smart-card logon: they pass.
"""

from __future__ import annotations

from enum import StrEnum

from signing.trust.certificate import Certificate

DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"  # RFC 9336
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
ANY_PURPOSE = "2.5.29.37.0"
ALLOWED = frozenset({DOCUMENT_SIGNING, EMAIL_PROTECTION, ANY_PURPOSE})
# What makers of signing software used before RFC 9336 gave the purpose a number of its own.
LISTED = frozenset(
    {
        "1.3.6.1.4.1.311.10.3.12",  # Microsoft, document signing
        "1.2.840.113583.1.1.5",  # Adobe, authentic documents
    }
)


class Unfit(StrEnum):
    USAGE = "usage"  # KeyUsage is there, without digitalSignature and nonRepudiation
    PURPOSE = "purpose"  # ExtendedKeyUsage is there, without a purpose that is allowed (as for TLS only)


def unfit_to_sign(certificate: Certificate, listed: frozenset[str] = LISTED) -> Unfit | None:
    """None: it may sign documents. `listed`: OIDs that a policy allows besides."""
    if certificate.usage is not None and certificate.usage.isdisjoint(
        {"digital_signature", "non_repudiation"}
    ):
        return Unfit.USAGE
    if certificate.purposes is not None and certificate.purposes.isdisjoint(ALLOWED | listed):
        return Unfit.PURPOSE
    return None
