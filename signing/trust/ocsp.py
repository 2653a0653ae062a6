"""The online certificate status protocol: this file asks and reads the answer (RFC 6960, RFC 9654).

- An answer counts when the issuer signed it, or a responder whom the issuer entitled by a certificate of its own for
  nothing but this (RFC 6960 4.2.2.2).
- The nonce is sent and, where it comes back, must be ours. Responders that sign beforehand leave it out: then the
  answer's own times bound its age.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import ocsp

from signing.trust.algorithms import weak_scheme
from signing.trust.certificate import MALFORMED, OCSP_SIGNING, Certificate, NotACertificate, instant, read
from signing.trust.signature import BadSignature, check_signature, scheme_of
from signing.trust.status import Answer, Status, Why

MAX_CERTIFICATES = 10
MAX_ANSWERS = 100


class NotAnOcspAnswer(ValueError):
    """The bytes are no OCSP answer, or one without a status (tryLater, internalError)."""


def ocsp_request(certificate: Certificate, issuer: Certificate, nonce: bytes) -> bytes:
    """DER OCSPRequest. The certificate is named by SHA-1, which every responder understands (RFC 5019 2.1.1): nothing
    depends on its strength, for the answer is matched against the certificate itself."""
    named = {
        "hash_algorithm": {"algorithm": "sha1"},
        "issuer_name_hash": hashlib.sha1(certificate.issuer_der, usedforsecurity=False).digest(),
        "issuer_key_hash": hashlib.sha1(issuer.key_bits, usedforsecurity=False).digest(),
        "serial_number": certificate.serial,
    }
    made = ocsp.OCSPRequest(
        {
            "tbs_request": {
                "request_list": [{"req_cert": named}],
                "request_extensions": [{"extn_id": "nonce", "extn_value": nonce}],
            }
        }
    )
    return bytes(made.dump())


@dataclass(frozen=True)
class OcspAnswer:
    """One answer, read but not yet believed: `of` checks who signed it."""

    der: bytes
    signed: bytes
    algorithm: bytes
    signature: bytes
    nonce: bytes | None
    produced_at: datetime
    certificates: tuple[Certificate, ...]
    responder: Any
    answers: tuple[Any, ...]

    def speaks_of(self, certificate: Certificate, issuer: Certificate) -> bool:
        return self._single(certificate, issuer) is not None

    def of(self, certificate: Certificate, issuer: Certificate, *, nonce: bytes | None = None) -> Answer:
        """What the answer says, not yet whether it counts at a time. `nonce`: what was sent. Raises nothing."""
        single = self._single(certificate, issuer)
        if single is None or (nonce is not None and self.nonce is not None and self.nonce != nonce):
            return Answer(Status.UNKNOWN, why=Why.NOT_FOR_THIS)
        try:
            scheme = scheme_of(self.algorithm)
            signer = self._signer(issuer)
            if signer is None:
                return Answer(Status.UNKNOWN, why=Why.RESPONDER)
            check_signature(signer.key, scheme, self.signature, self.signed)
        except BadSignature:
            return Answer(Status.UNKNOWN, why=Why.BAD_SIGNATURE)
        status, since, reason = _said(single["cert_status"])
        return Answer(
            status,
            single["this_update"].native,
            single["next_update"].native,
            since=since,
            reason=reason,
            why=Why.NOT_KNOWN_THERE if status is Status.UNKNOWN else None,
            reaches_back_to=_cutoff(single),
            weakness=weak_scheme(scheme, self.produced_at),
            responder=signer.der if signer is not issuer else None,
        )

    def _single(self, certificate: Certificate, issuer: Certificate) -> Any | None:
        for one in self.answers:
            named = one["cert_id"]
            if named["serial_number"].native != certificate.serial:
                continue
            try:
                name = hashlib.new(named["hash_algorithm"]["algorithm"].native, certificate.issuer_der)
                key = hashlib.new(named["hash_algorithm"]["algorithm"].native, issuer.key_bits)
            except ValueError:
                continue
            if (name.digest(), key.digest()) == (
                named["issuer_name_hash"].native,
                named["issuer_key_hash"].native,
            ):
                return one
        return None

    def _signer(self, issuer: Certificate) -> Certificate | None:
        """The issuer itself, or a delegate that it entitled, valid when the answer was made."""
        if self._is_responder(issuer):
            return issuer
        for one in self.certificates:
            entitled = one.purposes is not None and OCSP_SIGNING in one.purposes and not one.unjudged
            valid = one.not_before <= self.produced_at <= one.not_after
            if not (entitled and valid and self._is_responder(one) and one.issuer == issuer.subject):
                continue
            try:
                check_signature(issuer.key, scheme_of(one.algorithm), one.signature, one.signed)
            except BadSignature:
                continue
            return one
        return None

    def _is_responder(self, one: Certificate) -> bool:
        if self.responder.name == "by_name":
            return bool(self.responder.chosen.hashable == one.subject)
        digest = hashlib.sha1(one.key_bits, usedforsecurity=False).digest()
        return bool(self.responder.native == digest)


def read_ocsp(der: bytes) -> OcspAnswer:
    """Raises NotAnOcspAnswer."""
    try:
        return _read(der)
    except MALFORMED as wrong:
        raise NotAnOcspAnswer(str(wrong).partition("\n")[0][:200]) from wrong


def _read(der: bytes) -> OcspAnswer:
    whole = ocsp.OCSPResponse.load(der, strict=True)
    if whole["response_status"].native != "successful":
        raise NotAnOcspAnswer(str(whole["response_status"].native))
    basic = whole["response_bytes"]["response"].parsed
    if not isinstance(basic, ocsp.BasicOCSPResponse):
        raise NotAnOcspAnswer("not a basic answer")
    data = basic["tbs_response_data"]
    nonce = None
    for one in data["response_extensions"] or ():
        if one["extn_id"].native == "nonce":
            nonce = _nonce(one["extn_value"])
        elif one["critical"].native:
            raise NotAnOcspAnswer("a critical extension that is not known")
    answers = tuple(data["responses"])[:MAX_ANSWERS]
    for one in answers:
        # Lazily read parts are read now, so that nothing is raised later.
        _ = one.native, _cutoff(one), _said(one["cert_status"]), instant(one["this_update"].native)
        if one["next_update"].native is not None:
            instant(one["next_update"].native)
        if any(extra["critical"].native for extra in one["single_extensions"] or ()):
            raise NotAnOcspAnswer("a critical extension that is not known")
    responder = data["responder_id"]
    _ = responder.native, responder.chosen.hashable if responder.name == "by_name" else None
    return OcspAnswer(
        der=der,
        signed=data.dump(),
        algorithm=basic["signature_algorithm"].dump(),
        signature=basic["signature"].native,
        nonce=nonce,
        produced_at=instant(data["produced_at"].native),
        certificates=_certificates(basic["certs"]),
        responder=responder,
        answers=answers,
    )


def _nonce(value: Any) -> bytes:
    """An OCTET STRING within the extension's (RFC 9654 2.1); old responders sent the bytes bare."""
    try:
        return bytes(value.parsed.native)
    except MALFORMED:
        return bytes(value.native)


def _certificates(given: Any) -> tuple[Certificate, ...]:
    found = []
    for one in list(given or ())[:MAX_CERTIFICATES]:
        try:
            found.append(read(one.dump()))
        except NotACertificate:
            continue
    return tuple(found)


def _said(status: Any) -> tuple[Status, datetime | None, str | None]:
    if status.name == "good":
        return Status.GOOD, None, None
    if status.name != "revoked":
        return Status.UNKNOWN, None, None
    reason = status.chosen["revocation_reason"].native
    held = reason == "certificate_hold"
    return (
        Status.ON_HOLD if held else Status.REVOKED,
        instant(status.chosen["revocation_time"].native),
        reason,
    )


def _cutoff(single: Any) -> datetime | None:
    for one in single["single_extensions"] or ():
        if one["extn_id"].native == "archive_cutoff":
            return instant(one["extn_value"].parsed.native)
    return None
