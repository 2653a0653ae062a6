"""SignedData out of bytes (RFC 5652 5): this file reads what a stranger wrote, strictly, and notes each oddity.

Each step raises Malformed, notes a flaw of the closed list, notes the fault that makes it FORMAT_FAILURE, or goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from asn1crypto import x509

from signing.trust.certificate import Certificate, NotACertificate
from signing.trust.certificate import read as read_certificate
from signing.trust.signature import BadSignature, Scheme, scheme_of
from signing.verification import attributes as known
from signing.verification.attributes import Attributes, NamedCertificate
from signing.verification.cms_form import (
    CERTIFICATE_NOT_NAMED,
    DATA,
    DIGEST_MISMATCH,
    DIGEST_NOT_LISTED,
    DUPLICATE_ATTRIBUTE,
    HASHES,
    ISSUER_SERIAL_MISMATCH,
    MOST_CERTIFICATES,
    MOST_REVOCATIONS,
    MOST_SIGNERS,
    NO_SIGNED_ATTRIBUTES,
    NOT_DER,
    OCSP_RESPONSE,
    ODD_PARAMETERS,
    PLAIN_ECDSA,
    SIGNED_DATA,
    TRAILING_BYTES,
    UNKNOWN_SIGNED_ATTRIBUTE,
    UNKNOWN_UNSIGNED_ATTRIBUTE,
    UNREADABLE_ATTRIBUTE,
    UNREADABLE_CERTIFICATE,
    UNREADABLE_REVOCATION,
    WRONG_VERSION,
    SignedData,
    UnknownAlgorithm,
)
from signing.verification.der import INTEGER, OCTETS, OID, SEQUENCE, SET, Element, Malformed, Walk


@dataclass
class Reading:
    """One pass over the bytes; each step raises Malformed, notes a flaw, or goes on."""

    walk: Walk
    number: int | None = None  # which signer, from 0; where there must be one alone, None
    flaws: list[str] = field(default_factory=list)
    fault: str | None = None

    def note(self, flaw: str, *, when: bool = True) -> None:
        if when and flaw not in self.flaws:
            self.flaws.append(flaw)

    def broken(self, fault: str, *, when: bool) -> None:
        if when and self.fault is None:
            self.fault = fault

    def result(self) -> SignedData:
        walk = self.walk
        # 1. ContentInfo, and nothing behind it.
        outer = walk.element(0, len(walk.data))
        self.note(TRAILING_BYTES, when=bool(walk.data[outer.after :].strip(b"\0")))
        type_, wrapped = walk.inside(outer, OID, 0xA0)
        if outer.tag != SEQUENCE or walk.oid(type_) != SIGNED_DATA:
            raise Malformed("another content than SignedData")
        # 2. SignedData's own members.
        members = walk.members(walk.inside(wrapped, SEQUENCE)[0], 6)
        if [one.tag for one in members[:3]] != [INTEGER, SET, SEQUENCE] or members[-1].tag != SET:
            raise Malformed("another order than that of SignedData")
        between = [one.tag for one in members[3:-1]]
        if between not in ([], [0xA0], [0xA1], [0xA0, 0xA1]):
            raise Malformed("another order than that of SignedData")
        listed = [known.algorithm(walk, one) for one in walk.members(members[1], 16)]
        content_type, content = self._content(members[2])
        certificates, crls, ocsps = self._certificates_and_revocation(members[3:-1])
        # 3. The one signer.
        signer = _SignerInfo.read(self, self._signer_info(members[-1]))
        digest_name = self._digest_name(signer, listed)
        scheme = self._scheme(signer, digest_name)
        version = walk.content(members[0], INTEGER)
        self.note(WRONG_VERSION, when=version != self._version(content_type, signer, crls, ocsps))
        # 4. What it signed besides, and whose it is.
        unsigned, signed = signer.unsigned, signer.signed
        self._signed_form(signed, content_type)
        self.note(UNKNOWN_UNSIGNED_ATTRIBUTE, when=bool(set(unsigned.types) - known.UNSIGNED))
        self.note(DUPLICATE_ATTRIBUTE, when=unsigned.repeated)
        more_crls, more_ocsps = self._archived(signed, unsigned)
        self._protected(signer)
        found = self._signer(signer, certificates)
        claimed, digest = self._claimed(signed), self._digest(signed)
        self.note(NOT_DER, when=not walk.is_der)
        return SignedData(
            content_type=content_type,
            content=content,
            certificates=tuple(one.der for one in certificates),
            signer=found.der if found else None,
            digest_name=digest_name,
            scheme=scheme,
            signed_attributes=signer.signed_der,
            message_digest=digest,
            signature=signer.signature,
            timestamps=tuple(walk.whole(one) for one in unsigned.of(known.SIGNATURE_TIME_STAMP)),
            content_timestamps=tuple(walk.whole(one) for one in signed.of(known.CONTENT_TIME_STAMP)),
            claimed_time=claimed,
            crls=(*crls, *more_crls),
            ocsps=(*ocsps, *more_ocsps),
            flaws=tuple(self.flaws),
            signed_types=signed.types,
            unsigned_types=unsigned.types,
            fault=self.fault,
        )

    def _signer_info(self, of: Element) -> Element:
        if self.number is None:
            return self.walk.inside(of, SEQUENCE)[0]
        signers = self.walk.members(of, MOST_SIGNERS)
        if self.number >= len(signers) or signers[self.number].tag != SEQUENCE:
            raise Malformed("a signer that is none")
        return signers[self.number]

    def _content(self, of: Element) -> tuple[str, bytes | None]:
        members = self.walk.members(of, 2)
        if not members:
            raise Malformed("no content type")
        type_ = self.walk.oid(members[0])
        if len(members) == 1:
            return type_, None
        if members[1].tag != 0xA0:
            raise Malformed("no content")
        inside = self.walk.members(members[1], 1)
        if len(inside) != 1:
            raise Malformed("no content")
        return type_, self.walk.octets(inside[0])

    def _certificates_and_revocation(
        self, sets: Iterable[Element]
    ) -> tuple[list[Certificate], list[bytes], list[bytes]]:
        certificates: list[Certificate] = []
        crls: list[bytes] = []
        ocsps: list[bytes] = []
        for one in sets:
            if one.tag == 0xA0:
                for each in self.walk.members(one, MOST_CERTIFICATES):
                    try:
                        certificates.append(read_certificate(self.walk.whole(each)))
                    except NotACertificate:
                        self.note(UNREADABLE_CERTIFICATE)
                continue
            for each in self.walk.members(one, MOST_REVOCATIONS):
                if each.tag == SEQUENCE:
                    crls.append(self.walk.whole(each))
                    continue
                other = self.walk.members(each, 2) if each.tag == 0xA1 else []
                if len(other) == 2 and self.walk.oid(other[0]) == OCSP_RESPONSE:
                    ocsps.append(self.walk.whole(other[1]))
                else:
                    self.note(UNREADABLE_REVOCATION)
        return certificates, crls, ocsps

    def _version(
        self, content_type: str, signer: _SignerInfo, crls: list[bytes], ocsps: list[bytes]
    ) -> bytes:
        """RFC 5652 5.1, for certificates of X.509 only."""
        if ocsps:
            return b"\x05"
        return b"\x03" if content_type != DATA or signer.key_identifier is not None else b"\x01"

    def _digest_name(self, signer: _SignerInfo, listed: list[tuple[str, bytes | None]]) -> str:
        oid, parameters = signer.digest
        all_ = {one for one, _ in listed}
        self.note(
            DIGEST_NOT_LISTED,
            when=(all_ != {oid} or len(listed) != 1) if self.number is None else oid not in all_,
        )
        stated = [parameters, *(one for _, one in listed)]
        self.note(ODD_PARAMETERS, when=any(one not in (None, b"\x05\0") for one in stated))
        if oid not in HASHES:
            raise UnknownAlgorithm(f"unknown digest algorithm {oid}")
        return HASHES[oid]

    def _scheme(self, signer: _SignerInfo, digest_name: str) -> Scheme:
        parameters = signer.algorithm[1]
        try:
            scheme = scheme_of(signer.algorithm_der, digest_name)
        except BadSignature as wrong:
            raise UnknownAlgorithm(str(wrong)) from wrong
        if scheme.kind != "rsassa_pss":
            allowed = (None, b"\x05\0") if scheme.kind == "rsassa_pkcs1v15" else (None,)
            self.note(ODD_PARAMETERS, when=parameters not in allowed)
        # Ed25519 goes with SHA-512 (RFC 8419 3.1).
        expected = {"ed25519": "sha512"}.get(scheme.kind, scheme.hash_name)
        self.note(DIGEST_MISMATCH, when=expected is not None and expected != digest_name)
        if scheme.kind == "ecdsa":
            self.note(PLAIN_ECDSA, when=not _is_ecdsa_sequence(signer.signature))
        return scheme

    def _signed_form(self, signed: Attributes, content_type: str) -> None:
        """RFC 5652 5.3, 11.1, 11.2."""
        if not signed.types:
            self.note(NO_SIGNED_ATTRIBUTES)
            self.broken("no signed attributes over another content than data", when=content_type != DATA)
            return
        self.note(UNKNOWN_SIGNED_ATTRIBUTE, when=bool(set(signed.types) - known.SIGNED))
        self.note(DUPLICATE_ATTRIBUTE, when=signed.repeated)
        types = [self.walk.oid(one) for one in signed.of(known.CONTENT_TYPE)]
        self.broken("the signed content type is not the content's", when=types != [content_type])
        self.broken("not exactly one message digest", when=len(signed.of(known.MESSAGE_DIGEST)) != 1)

    def _digest(self, signed: Attributes) -> bytes | None:
        stated = signed.of(known.MESSAGE_DIGEST)
        return self.walk.content(stated[0], OCTETS) if stated else None

    def _claimed(self, signed: Attributes) -> datetime | None:
        stated = signed.of(known.SIGNING_TIME)
        if not stated:
            return None
        self.note(DUPLICATE_ATTRIBUTE, when=len(stated) > 1)
        try:
            return known.time(self.walk, stated[0])
        except Malformed:
            self.note(UNREADABLE_ATTRIBUTE)
            return None

    def _archived(self, *both: Attributes) -> tuple[list[bytes], list[bytes]]:
        crls: list[bytes] = []
        ocsps: list[bytes] = []
        for value in (one for each in both for one in each.of(known.REVOCATION_INFORMATION)):
            try:
                more_crls, more_ocsps = known.revocation_information(self.walk, value)
            except Malformed:
                self.note(UNREADABLE_ATTRIBUTE)
                continue
            crls += more_crls
            ocsps += more_ocsps
        return crls[:MOST_REVOCATIONS], ocsps[:MOST_REVOCATIONS]

    def _protected(self, signer: _SignerInfo) -> None:
        """RFC 6211 3: the algorithms are signed too."""
        for value in signer.signed.of(known.ALGORITHM_PROTECTION):
            members = self.walk.members(value, 3)
            same = (
                [one.tag for one in members] == [SEQUENCE, 0xA1]
                and _alike(known.algorithm(self.walk, members[0]), signer.digest)
                and _alike(known.algorithm(self.walk, members[1], 0xA1), signer.algorithm)
            )
            self.broken("other algorithms than those that were signed", when=not same)

    def _signer(self, signer: _SignerInfo, certificates: list[Certificate]) -> Certificate | None:
        named = self._named(signer.signed)
        self.note(CERTIFICATE_NOT_NAMED, when=not named)
        for one in certificates:
            if not signer.is_of(one) or any(not _fits(name, one) for name in named):
                continue
            wrong = any(
                name.serial is not None and (name.serial, name.issuer) != (_serial(one), one.issuer_der)
                for name in named
            )
            otherwise = signer.key_identifier is None and signer.issuer != one.issuer_der
            self.note(ISSUER_SERIAL_MISMATCH, when=wrong or otherwise)
            return one
        return None

    def _named(self, signed: Attributes) -> list[NamedCertificate]:
        found = []
        for type_ in (known.SIGNING_CERTIFICATE, known.SIGNING_CERTIFICATE_V2):
            values = signed.of(type_)
            self.note(DUPLICATE_ATTRIBUTE, when=len(values) > 1)
            second = type_ == known.SIGNING_CERTIFICATE_V2
            found += [known.named_certificate(self.walk, value, second=second) for value in values]
        return found


@dataclass(frozen=True)
class _SignerInfo:
    """RFC 5652 5.3. The signer is named by issuer and serial number, or by the key's identifier."""

    issuer: bytes
    serial: bytes
    key_identifier: bytes | None
    digest: tuple[str, bytes | None]
    signed: Attributes
    signed_der: bytes | None
    algorithm: tuple[str, bytes | None]
    algorithm_der: bytes
    signature: bytes
    unsigned: Attributes

    @staticmethod
    def read(reading: Reading, of: Element) -> _SignerInfo:
        walk, members = reading.walk, reading.walk.members(of, 7)
        signed = unsigned = Attributes((), {})
        signed_der = None
        if len(members) < 5:
            raise Malformed("a signer ends early")
        version, name, digest, *rest = members
        issuer = serial = b""
        key_identifier = None
        if name.tag == SEQUENCE:
            first, second = walk.inside(name, SEQUENCE, INTEGER)
            issuer, serial = walk.whole(first), walk.content(second, INTEGER)
        else:
            key_identifier = walk.content(name, 0x80)
        expected = b"\x01" if key_identifier is None else b"\x03"
        reading.note(WRONG_VERSION, when=walk.content(version, INTEGER) != expected)
        if rest[0].tag == 0xA0:
            one = rest.pop(0)
            signed = known.read(walk, one)
            reading.broken("signed attributes without any", when=not signed.types)
            # Signed is the SET OF, not the tag under which it stands (RFC 5652 5.4).
            signed_der = b"\x31" + walk.whole(one)[1:]
        if len(rest) == 3 and rest[2].tag == 0xA1:
            unsigned = known.read(walk, rest.pop())
        if [one.tag for one in rest] != [SEQUENCE, OCTETS] or digest.tag != SEQUENCE:
            raise Malformed("another order than that of SignerInfo")
        return _SignerInfo(
            issuer, serial, key_identifier, known.algorithm(walk, digest), signed, signed_der,
            known.algorithm(walk, rest[0]), walk.whole(rest[0]), walk.content(rest[1], OCTETS), unsigned,
        )  # fmt: skip

    def is_of(self, one: Certificate) -> bool:
        if self.key_identifier is None:
            if self.serial != _serial(one):
                return False
            # The same name may be encoded otherwise (RFC 5280 7.1).
            return self.issuer == one.issuer_der or _comparable(self.issuer) == one.issuer
        stated = one.extensions.get("key_identifier")
        return stated is not None and stated.native == self.key_identifier


@lru_cache(maxsize=1024)
def _comparable(name: bytes) -> str:
    return str(x509.Name.load(name, strict=True).hashable)


def _alike(one: tuple[str, bytes | None], other: tuple[str, bytes | None]) -> bool:
    """NULL and nothing are the same parameters (RFC 5754 2)."""
    return one[0] == other[0] and (one[1] or b"\x05\0") == (other[1] or b"\x05\0")


def _serial(one: Certificate) -> bytes:
    return one.serial.to_bytes(one.serial.bit_length() // 8 + 1, "big", signed=True)


def _fits(name: NamedCertificate, one: Certificate) -> bool:
    hash_name = HASHES.get(name.hash_oid)
    return hash_name is not None and hashlib.new(hash_name, one.der).digest() == name.digest


def _is_ecdsa_sequence(signature: bytes) -> bool:
    walk = Walk(signature)
    try:
        whole = walk.element(0, len(signature))
        walk.inside(whole, INTEGER, INTEGER)
    except Malformed:
        return False
    return whole.tag == SEQUENCE and whole.after == len(signature)
