"""What stands in a certificate, as plain data: this file reads it as leniently as real authorities write, once.

- asn1crypto reads, not cryptography: certificates of the Government's CA hold an empty IssuerAltName and Netscape
  extensions, which a strict reader refuses whole. Only what is judged here is looked into (RFC 5280 4.2).
- Reading raises nothing but NotACertificate, whatever the bytes are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from asn1crypto import x509

MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What asn1crypto raises for bytes that are not what was asked for."""

MAX_CERTIFICATE = 64 * 1024  # bytes
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"

_BARE_DSA = bytes.fromhex("06072a8648ce380401")
_BINDING = {"name_constraints", "policy_constraints", "policy_mappings", "inhibit_any_policy"}
_JUDGED = {
    "key_identifier", "authority_key_identifier", "key_usage", "extended_key_usage", "basic_constraints",
    "name_constraints", "crl_distribution_points", "certificate_policies", "policy_constraints", "policy_mappings",
    "inhibit_any_policy", "authority_information_access", "ocsp_no_check", "subject_alt_name",
}  # fmt: skip
# RFC 4514 3, and what officials carry in their names besides.
_SHORT = {
    "2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C",
    "2.5.4.9": "STREET", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}  # fmt: skip


class NotACertificate(ValueError):
    """The bytes are no X.509 certificate that could be judged."""


@dataclass(frozen=True)
class Certificate:
    """`subject` and `issuer` are for comparing names (RFC 5280 7.1), `subject_text` is for people (RFC 4514). `usage`
    and `purposes` (OIDs) are None where the extension is absent. Addresses are only those of http and https."""

    der: bytes
    version: int
    serial: int
    subject: str
    subject_text: str
    subject_der: bytes
    issuer: str
    issuer_der: bytes
    not_before: datetime
    not_after: datetime
    key: bytes  # DER SubjectPublicKeyInfo
    key_bits: bytes  # the key alone, as digests name it (RFC 6960 4.1.1)
    signed: bytes  # TBSCertificate, as it stands
    algorithm: bytes  # DER AlgorithmIdentifier of the signature
    signature: bytes
    extensions: dict[str, Any]  # by asn1crypto's names; for this room only
    critical: frozenset[str]
    usage: frozenset[str] | None
    purposes: frozenset[str] | None
    ca: bool
    path_length: int | None
    inherits: bool = False  # a DSA key without its parameters (RFC 3279 2.3.2)
    binds: bool = (
        False  # something in it is judged over the whole path: constraints, mappings, inherited parameters
    )

    def __hash__(self) -> int:
        return hash(self.der)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def key_id(self) -> bytes | None:
        return _octets(self.extensions.get("key_identifier"))

    @property
    def issuer_key_id(self) -> bytes | None:
        """A hint only: nothing is refused for it (RFC 5280 4.2.1.1)."""
        named = self.extensions.get("authority_key_identifier")
        return None if named is None else _octets(named["key_identifier"])

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    @property
    def unjudged(self) -> frozenset[str]:
        """Critical extensions that we cannot judge (RFC 5280 4.2: then the certificate is refused)."""
        return self.critical - _JUDGED

    @cached_property
    def crl_addresses(self) -> tuple[str, ...]:
        """Of complete CRLs by the issuer itself: not those for some reasons only, nor another issuer's."""
        found: list[str] = []
        for point in self.extensions.get("crl_distribution_points") or ():
            name = point["distribution_point"]
            if point["reasons"].native or point["crl_issuer"].native or name.name != "full_name":
                continue
            found += [one.native for one in name.chosen if one.name == "uniform_resource_identifier"]
        return _web(found)

    @cached_property
    def ocsp_addresses(self) -> tuple[str, ...]:
        return self._access("ocsp")

    @cached_property
    def issuer_addresses(self) -> tuple[str, ...]:
        return self._access("ca_issuers")

    def _access(self, method: str) -> tuple[str, ...]:
        return _web(
            one["access_location"].native
            for one in self.extensions.get("authority_information_access") or ()
            if one["access_method"].native == method
            and one["access_location"].name == "uniform_resource_identifier"
        )


@lru_cache(maxsize=2048)
def read(der: bytes) -> Certificate:
    """Raises NotACertificate."""
    if len(der) > MAX_CERTIFICATE:
        raise NotACertificate("larger than any certificate")
    try:
        return _read(der)
    except MALFORMED as wrong:
        raise NotACertificate(str(wrong).partition("\n")[0][:200]) from wrong


def readable(certificates: Iterable[bytes]) -> tuple[Certificate, ...]:
    """Each once; what is no certificate is passed over."""
    found: dict[bytes, Certificate] = {}
    for der in certificates:
        try:
            found[der] = read(der)
        except NotACertificate:
            continue
    return tuple(found.values())


def _read(der: bytes) -> Certificate:
    parsed = x509.Certificate.load(der, strict=True)
    tbs = parsed["tbs_certificate"]
    # RFC 5280 4.1.1.2: two statements of one algorithm; where they differ somebody tampered.
    if tbs["signature"].dump() != parsed["signature_algorithm"].dump():
        raise NotACertificate("signature algorithms differ")
    extensions, critical = _extensions(tbs["extensions"])
    constraints, usage = extensions.get("basic_constraints"), extensions.get("key_usage")
    purposes = extensions.get("extended_key_usage")
    validity = tbs["validity"]
    bare = _is_bare(tbs["subject_public_key_info"])
    made = Certificate(
        der=der,
        version=int(tbs["version"]) + 1,
        serial=tbs["serial_number"].native,
        subject=tbs["subject"].hashable,
        subject_text=rfc4514(tbs["subject"]),
        subject_der=tbs["subject"].dump(),
        issuer=tbs["issuer"].hashable,
        issuer_der=tbs["issuer"].dump(),
        not_before=instant(validity["not_before"].native),
        not_after=instant(validity["not_after"].native),
        key=tbs["subject_public_key_info"].dump(),
        key_bits=bytes(tbs["subject_public_key_info"]["public_key"]),
        signed=tbs.dump(),
        algorithm=parsed["signature_algorithm"].dump(),
        signature=parsed["signature_value"].native,
        extensions=extensions,
        critical=critical,
        usage=frozenset(usage.native) if usage is not None else None,
        purposes=frozenset(one.dotted for one in purposes) if purposes is not None else None,
        ca=bool(constraints is not None and constraints["ca"].native),
        path_length=constraints["path_len_constraint"].native if constraints is not None else None,
        inherits=bare,
        binds=bare or not _BINDING.isdisjoint(extensions),
    )
    # Lazily read parts are read now, so that nothing is raised later.
    _ = made.crl_addresses, made.ocsp_addresses, made.issuer_addresses, made.key_id, made.issuer_key_id
    return made


def _is_bare(key: Any) -> bool:
    algorithm = key["algorithm"].contents
    return bool(algorithm.startswith(_BARE_DSA) and algorithm[len(_BARE_DSA) :] in {b"", b"\5\0"})


def _octets(value: Any) -> bytes | None:
    native = value.native if value is not None else None
    return native if isinstance(native, bytes) else None


def instant(time: Any) -> datetime:
    """A time that says which zone it means, as RFC 5280 4.1.2.5 asks. Raises ValueError."""
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise ValueError("a time without its zone")
    return time


def _extensions(listed: Any) -> tuple[dict[str, Any], frozenset[str]]:
    found: dict[str, Any] = {}
    critical: set[str] = set()
    for one in listed:
        name = one["extn_id"].native
        if name in found:
            raise NotACertificate(f"{name} stands twice")
        if one["critical"].native:
            critical.add(name)
        # The others may be anything: nobody looks at them.
        found[name] = one["extn_value"].parsed if name in _JUDGED else None
    return found, frozenset(critical)


def _web(addresses: Any) -> tuple[str, ...]:
    return tuple(one for one in addresses if one.lower().startswith(("http://", "https://")))


def rfc4514(name: Any) -> str:
    """The distinguished name as RFC 4514 2 writes it, with values of unlisted types legible and not in hexadecimal."""
    relative = []
    for rdn in reversed(list(name.chosen)):
        parts = [f"{_SHORT.get(one['type'].dotted, one['type'].dotted)}={_escaped(one)}" for one in rdn]
        relative.append("+".join(parts))
    return ",".join(relative)


def _escaped(one: Any) -> str:
    value = one["value"].native
    if not isinstance(value, str):
        return "#" + str(one["value"].dump().hex())
    text = "".join("\\" + sign if sign in '\\,+"<>;=' else sign for sign in value).replace("\0", "\\00")
    if text[:1] in {" ", "#"}:
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and not text.endswith("\\ ") else text
