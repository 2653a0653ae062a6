"""A certificate revocation list: this file reads it, checks its signature once, and says what it knows of a certificate
(RFC 5280 5, 6.3).

- Big lists are expensive, so a list is read once and asked often; what was asked is remembered per serial number.
- Asked by itself (`of`), an indirect list or a delta says nothing: they count beside others (`supplied_lists.py`). A list
  for a part of the certificates says GOOD of these only, but whoever stands in it is revoked, whatever part it is for.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from asn1crypto import core, parser
from asn1crypto.x509 import Name
from cryptography import x509

from signing.trust.algorithms import Weakness, weak_scheme
from signing.trust.certificate import MALFORMED, Certificate, instant
from signing.trust.crl_entries import Entries, Entry
from signing.trust.crl_scope import WHOLE, Scope, scope_of
from signing.trust.dsa import check_issued
from signing.trust.signature import BadSignature, Scheme, scheme_of
from signing.trust.status import Answer, Status, Why

EXPIRED_CERTS_ON_CRL = x509.ObjectIdentifier("2.5.29.60")  # X.509 9.5.2.8; ETSI EN 319 411-2 6.3.9
_JUDGED = (
    x509.IssuingDistributionPoint, x509.AuthorityKeyIdentifier, x509.CRLNumber, x509.DeltaCRLIndicator
)  # fmt: skip
Kind = TypeVar("Kind", bound=x509.ExtensionType)

ODD = (*MALFORMED, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
MAX_REMEMBERED = 10_000  # serial numbers per list


class NotACrl(ValueError):
    """The bytes are no CRL that could be judged."""


class Crl:
    """One list. `issued_by` must have said yes before `of` is believed."""

    def __init__(self, der: bytes) -> None:
        """Raises NotACrl."""
        try:
            self._parsed = x509.load_der_x509_crl(der)
            self._signed, self._scheme, self._signature = _cut(der)
            self.this_update = self._parsed.last_update_utc
            self.next_update = self._parsed.next_update_utc
            self.issuer: str = Name.load(self._parsed.issuer.public_bytes()).hashable
            self._scope = _scope(self._parsed)
            delta = _extension(self._parsed, x509.DeltaCRLIndicator)
            self.base_number = delta.crl_number if delta else None
            number = _extension(self._parsed, x509.CRLNumber)
            self.number = number.crl_number if number else None
            self._odd = any(
                one.critical and not isinstance(one.value, _JUDGED) for one in self._parsed.extensions
            )
            self._reaches_back_to = _reaches_back_to(self._parsed)
        except (*ODD, BadSignature) as wrong:
            raise NotACrl(str(wrong)[:200]) from wrong
        self.der = der
        self.sha256 = hashlib.sha256(der).hexdigest()
        self._issued_by: dict[bytes, bool] = {}
        self._signed_by: dict[bytes, bool] = {}
        self._said: dict[int, Entry | None] = {}

    @property
    def weakness(self) -> Weakness | None:
        """Of the list's own signature, on the day of its issue."""
        return weak_scheme(self._scheme, self.this_update)

    def issued_by(self, issuer: Certificate) -> bool:
        """Whether the list is this authority's, signed with its key, and it may sign lists. Checked once."""
        if issuer.der not in self._issued_by:
            self._issued_by[issuer.der] = self._check(issuer)
        return self._issued_by[issuer.der]

    def _check(self, issuer: Certificate) -> bool:
        if issuer.usage is not None and "crl_sign" not in issuer.usage:
            return False
        return self.named_as(issuer) and self.signed_by(issuer.key)

    def signed_by(self, key: bytes) -> bool:
        """Whether it is signed with this key (DER SubjectPublicKeyInfo), whosever that is. Checked once."""
        if key not in self._signed_by:
            try:
                check_issued(key, self._scheme, self._signature, self.der[self._signed])
                self._signed_by[key] = True
            except BadSignature:
                self._signed_by[key] = False
        return self._signed_by[key]

    def named_as(self, issuer: Certificate) -> bool:
        return self.issuer == issuer.subject

    @cached_property
    def scope(self) -> Scope:
        """Raises ValueError and its like where it cannot be read."""
        return scope_of(self.scope_bytes, self.issuer) if self.scope_bytes else WHOLE

    @cached_property
    def scope_bytes(self) -> bytes:
        """DER; a delta's is its base's, byte for byte (RFC 5280 5.2.4)."""
        return self._scope.public_bytes() if self._scope is not None else b""

    @cached_property
    def key_id(self) -> bytes | None:
        named = _extension(self._parsed, x509.AuthorityKeyIdentifier)
        return named.key_identifier if named else None

    @cached_property
    def usable(self) -> bool:
        """Nothing critical stands in it that we cannot judge, and what it is for can be read."""
        try:
            return not self._odd and bool(self.scope) and self._entries.all_known()
        except ODD:
            return False

    @cached_property
    def _entries(self) -> Entries:
        return Entries(self.der, self._signed.start)

    def entry(self, certificate: Certificate) -> Entry | None:
        """Of the certificate by this issuer, whoever signed the list (RFC 5280 5.3.3). Raises NotACrl."""
        try:
            if self.scope.indirect or self._entries.critical or certificate.serial <= 0:
                return self._entries.find(certificate.serial, certificate.issuer, self.issuer)
            return self._entry(certificate.serial) if self.issuer == certificate.issuer else None
        except ODD as wrong:
            raise NotACrl(str(wrong)[:200]) from wrong

    def says(self, entry: Entry | None) -> Answer:
        """What an entry of this list means, or that there is none."""
        if entry is None:
            return self._answer(Status.GOOD)
        since, reason = entry
        status = Status.ON_HOLD if reason == "certificate_hold" else Status.REVOKED
        return self._answer(status, since=since, reason=reason)

    def of(self, certificate: Certificate) -> Answer:
        """What the list says, not yet whether it counts at a time. Raises nothing."""
        indirect = self._scope is not None and self._scope.indirect_crl
        if indirect or self.base_number is not None or self._odd:
            return self._answer(Status.UNKNOWN, why=Why.NOT_FOR_THIS)
        try:
            entry = self._entry(certificate.serial)
        except ODD:
            return self._answer(Status.UNKNOWN, why=Why.MALFORMED)
        if entry is None and not self._speaks_of(certificate):
            return self._answer(Status.UNKNOWN, why=Why.NOT_FOR_THIS)
        return self.says(entry)

    def _answer(
        self, status: Status, *, since: datetime | None = None, reason: str | None = None, why: Why | None = None
    ) -> Answer:  # fmt: skip
        return Answer(
            status, self.this_update, self.next_update, since=since, reason=reason, why=why,
            reaches_back_to=self._reaches_back_to, weakness=self.weakness,
        )  # fmt: skip

    def _entry(self, serial: int) -> Entry | None:
        if serial not in self._said:
            if len(self._said) >= MAX_REMEMBERED:
                self._said.clear()
            found = self._parsed.get_revoked_certificate_by_serial_number(serial) if serial > 0 else None
            self._said[serial] = None if found is None else (found.revocation_date_utc, _reason(found))
        return self._said[serial]

    def _speaks_of(self, certificate: Certificate) -> bool:
        """RFC 5280 6.3.3 (b)(2): the list's part of the certificates holds this one."""
        scope = self._scope
        if scope is None:
            return True
        if scope.only_contains_attribute_certs or scope.only_some_reasons or scope.relative_name:
            return False
        if scope.only_contains_user_certs if certificate.ca else scope.only_contains_ca_certs:
            return False
        named = {
            one.value for one in scope.full_name or () if isinstance(one, x509.UniformResourceIdentifier)
        }
        return not named or not named.isdisjoint(certificate.crl_addresses)


def _cut(der: bytes) -> tuple[slice, Scheme, bytes]:
    """Where the signed part stands, the algorithm and the signature, cut out as they are."""
    _, _, _, header, content, _ = parser.parse(der, strict=True)
    pieces: list[tuple[int, int, bytes]] = []
    at = 0
    for _ in range(3):
        _, _, _, head, inside, tail = parser.parse(content[at:] if pieces else content)
        pieces.append((at, at + len(head + inside + tail), inside))
        at = pieces[-1][1]
    if at != len(content) or pieces[2][2][:1] != b"\0":
        raise ValueError("not the three parts of a CRL")
    signed = slice(len(header) + pieces[0][0], len(header) + pieces[0][1])
    return signed, scheme_of(content[pieces[1][0] : pieces[1][1]]), pieces[2][2][1:]


def _scope(parsed: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    return _extension(parsed, x509.IssuingDistributionPoint)


def _extension(parsed: x509.CertificateRevocationList, kind: type[Kind]) -> Kind | None:
    return next((one.value for one in parsed.extensions if isinstance(one.value, kind)), None)


def _reaches_back_to(parsed: x509.CertificateRevocationList) -> datetime | None:
    for one in parsed.extensions:
        if one.oid == EXPIRED_CERTS_ON_CRL and isinstance(one.value, x509.UnrecognizedExtension):
            return instant(core.GeneralizedTime.load(one.value.value).native)
    return None


def _reason(entry: x509.RevokedCertificate) -> str | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.name
    except (*ODD, x509.ExtensionNotFound):
        return None
