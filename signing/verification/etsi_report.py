"""The report as XML by ETSI TS 119 102-2 V1.4.1: this file writes it, valid by that standard's schema.

- It says what the promised JSON says, by the standard's names; what the standard has no place for stands in our own
  namespace: the verdict, the trust snapshot, the changes after a signature, the findings with their code.
- A file without a signature, or one that cannot be read, gets the one report that the schema asks for, with an indication
  of our own: never one that could be taken for a judgement of a signature.
- Names out of a stranger's file may hold what XML cannot (XML 1.0 2.2): that is replaced, never passed on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from xml.etree import ElementTree as ET

from signing.verification.report import (
    Finding,
    Indication,
    Report,
    SignatureKind,
    SignatureReport,
    SubIndication,
    rfc3339,
)

VR = "http://uri.etsi.org/19102/v1.4.1#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
DS = "http://www.w3.org/2000/09/xmldsig#"
TSL = "http://uri.etsi.org/02231/v2#"
OURS = "urn:x-antin:report:1"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_ETSI = "urn:etsi:019102"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STAMPS = {
    "SIGNATURE": "SignatureTimeStamp",
    "CONTENT": "AllDataObjectsTimeStamp",
    "ARCHIVE": "DocTimeStamp",
}

for _prefix, _namespace in (("vr", VR), ("xades", XADES), ("ds", DS), ("tsl", TSL), ("antin", OURS)):
    ET.register_namespace(_prefix, _namespace)


def to_xml(
    report: Report, *, say: Callable[[Finding], tuple[str, str, str]], validator: bytes | None = None
) -> bytes:
    """UTF-8. `say` gives a finding's three sentences; `validator`: the certificate (DER) of whoever will sign these bytes."""
    return _Writing(report, say, validator).to_bytes()


class _Writing:
    def __init__(
        self, report: Report, say: Callable[[Finding], tuple[str, str, str]], validator: bytes | None
    ) -> None:
        self.report, self.say, self.validator = report, say, validator
        self.root = ET.Element(f"{{{VR}}}ValidationReport")
        self.objects: dict[str, ET.Element] = {}

    def to_bytes(self) -> bytes:
        report = self.report
        signed = [one for one in report.signatures if one.kind is SignatureKind.SIGNATURE]
        stamps = [one for one in report.signatures if one.kind is SignatureKind.DOCUMENT_TIMESTAMP]
        for number, one in enumerate(signed, 1):
            self._signature(_add(self.root, "SignatureValidationReport"), one, f"signature-{number}")
        if not signed:
            self._nothing(_add(self.root, "SignatureValidationReport"))
        for number, one in enumerate(stamps, 1):
            self._document_timestamp(one, f"timestamp-{number}")
        if self.objects:
            _add(self.root, "SignatureValidationObjects").extend(self.objects.values())
        if self.validator is not None:
            digital = _add(_add(self.root, "SignatureValidator"), "DigitalId")
            _add(digital, "X509Certificate", base64.b64encode(self.validator).decode(), space=TSL)
        ET.indent(self.root, " ")
        written: bytes = ET.tostring(self.root, encoding="UTF-8", xml_declaration=True)
        return written

    # -- one signature, in the order of the schema

    def _signature(self, into: ET.Element, one: SignatureReport, name: str) -> None:
        identifier = _add(into, "SignatureIdentifier", id=name)
        for what in ("HashOnly", "DocHashOnly"):
            _add(identifier, what, "false")
        _add(identifier, "DAIdentifier", one.field)
        self._policy(into)
        self._time(into, one.best_signature_time)
        self._document(into, one)
        self._attributes(into, one)
        if one.chain:
            signer = _add(into, "SignerInformation")
            _add(signer, "SignerCertificate", VOReference=self._certificate(one.chain[0].sha256))
            _add(signer, "Signer", one.signer or "")
        if one.level is not None:
            said = _add(into, "SignatureQuality")
            _add(said, "SignatureQualityInformation", f"{OURS}:level:{one.level}")
        self._process(into, one)
        self._status(into, one)
        self._more(_add(into, "OtherInformation"), one)

    def _nothing(self, into: ET.Element) -> None:
        self._policy(into)
        self._time(into, None)
        status = _add(into, "SignatureValidationStatus")
        _add(status, "MainIndication", f"{OURS}:mainindication:{self.report.verdict.value}")
        self._findings(status, self.report.findings)
        self._more(_add(into, "OtherInformation"), None)

    def _policy(self, into: ET.Element) -> None:
        report = self.report
        policy = _add(_add(into, "ValidationConstraintsEvaluationReport"), "SignatureValidationPolicy")
        named = _add(_add(policy, "SignaturePolicyIdentifier"), "SignaturePolicyId", space=XADES)
        _add(
            _add(named, "SigPolicyId", space=XADES),
            "Identifier",
            f"urn:x-antin:policy:{report.policy_name}",
            space=XADES,
        )
        _digest(_add(named, "SigPolicyHash", space=XADES), report.policy_digest)
        _add(policy, "PolicyName", report.policy_name)

    def _time(self, into: ET.Element, best: datetime | None) -> None:
        at = self.report.validation_time
        info = _add(into, "ValidationTimeInfo")
        _add(info, "ValidationTime", rfc3339(at) or "")
        proof = _add(info, "BestSignatureTime")
        _add(proof, "POETime", rfc3339(best or at) or "")
        _add(proof, "TypeOfProof", f"{_ETSI}:poetype:validation")

    def _document(self, into: ET.Element, one: SignatureReport) -> None:
        """The bytes that were signed, by their digest."""
        digest = next((o["digest"] for o in one.signed_objects if o["digest"].startswith("sha256:")), None)
        if digest is not None:
            document = _add(into, "SignersDocument")
            _digest(_add(document, "DigestAlgAndValue"), digest.removeprefix("sha256:"))

    def _attributes(self, into: ET.Element, one: SignatureReport) -> None:
        dated = [stamp for stamp in one.timestamps if stamp.time is not None and stamp.type in _STAMPS]
        if one.claimed_signing_time is None and not dated:
            return
        attributes = _add(into, "SignatureAttributes")
        if one.claimed_signing_time is not None:
            _add(
                _add(attributes, "SigningTime", Signed="true"),
                "Time",
                rfc3339(one.claimed_signing_time) or "",
            )
        for stamp in dated:
            signed = "true" if stamp.type == "CONTENT" else "false"
            _add(
                _add(attributes, _STAMPS[stamp.type], Signed=signed),
                "TimeStampValue",
                rfc3339(stamp.time) or "",
            )

    def _process(self, into: ET.Element, one: SignatureReport) -> None:
        reached = (one.level or "").rpartition("-")[2]
        process = {"T": "LTVM", "LT": "LTVM", "LTA": "LTA"}.get(reached, "Basic")
        _add(
            _add(into, "SignatureValidationProcess"), "SignatureValidationProcessID",
            f"{_ETSI}:validationprocess:{process}",
        )  # fmt: skip

    def _status(self, into: ET.Element, one: SignatureReport, *, passed: bool = False) -> None:
        status = _add(into, "SignatureValidationStatus")
        _add(status, "MainIndication", f"{_ETSI}:mainindication:{_main(one.indication, passed=passed)}")
        if one.sub_indication is not None:
            _add(status, "SubIndication", _sub(one.sub_indication))
        if one.chain:
            data = _add(status, "AssociatedValidationReportData")
            chain = _add(data, "CertificateChain")
            names = [self._certificate(each.sha256) for each in one.chain]
            _add(chain, "SigningCertificate", VOReference=names[0])
            for name in names[1:-1]:
                _add(chain, "IntermediateCertificate", VOReference=name)
            if len(names) > 1:
                last = (
                    "TrustAnchor" if one.indication is Indication.TOTAL_PASSED else "IntermediateCertificate"
                )
                _add(chain, last, VOReference=names[-1])
        self._findings(status, one.findings)

    def _findings(self, status: ET.Element, findings: tuple[Finding, ...]) -> None:
        if findings:
            data = _add(_add(status, "AssociatedValidationReportData"), "AdditionalValidationReportData")
            for one in findings:
                said = _add(data, "ReportData")
                _add(said, "Type", f"{OURS}:finding:{one.severity.value}:{one.code}")
                _add(said, "Value", " ".join(self.say(one)))

    def _more(self, into: ET.Element, one: SignatureReport | None) -> None:
        report = self.report
        document = {
            "file": report.file, "sha256": report.sha256, "format": report.format, "verdict": report.verdict.value,
            "wholeDocument": _truth(report.whole_document), "timeSource": report.time_source.value,
            "trust": report.trust_digest, "demonstration": _truth(report.demonstration),
        }  # fmt: skip
        _add(into, "Document", space=OURS, **document)
        if one is None:
            return
        _add(into, "Signature", space=OURS, field=one.field, coverage=one.coverage.value, **_given({
            "level": one.level, "levelPresent": one.level_present, "signedRevision": one.signed_revision,
        }))  # fmt: skip
        for stamp in one.timestamps:
            _add(into, "TimeStamp", space=OURS, type=stamp.type, indication=stamp.indication.value, **_given({
                "subIndication": stamp.sub_indication.value if stamp.sub_indication else None,
                "time": rfc3339(stamp.time), "authority": stamp.authority,
            }))  # fmt: skip
        for change in one.changes_after:
            page = {} if change.page is None else {"page": str(change.page)}
            _add(
                into, "Change", space=OURS, revision=str(change.revision), kind=change.kind,
                allowed=_truth(change.allowed), **page,
            )  # fmt: skip

    # -- what is referred to

    def _certificate(self, sha256: str) -> str:
        name = f"certificate-{sha256}"
        if name not in self.objects:
            known = ET.Element(f"{{{VR}}}ValidationObject", {"id": name})
            _add(known, "ObjectType", f"{_ETSI}:validationObject:certificate")
            _digest(_add(_add(known, "ValidationObjectRepresentation"), "DigestAlgAndValue"), sha256)
            self.objects[name] = known
        return name

    def _document_timestamp(self, one: SignatureReport, name: str) -> None:
        known = ET.Element(f"{{{VR}}}ValidationObject", {"id": name})
        _add(known, "ObjectType", f"{_ETSI}:validationObject:timestamp")
        direct = _add(_add(known, "ValidationObjectRepresentation"), "direct")
        _add(direct, "PAdESFieldName", one.field)
        judged = _add(known, "ValidationReport")
        self._document(judged, one)
        self._status(judged, one, passed=True)
        self._more(_add(judged, "OtherInformation"), one)
        self.objects[name] = known


def _add(
    into: ET.Element, name: str, text: str | None = None, *, space: str = VR, **attributes: str
) -> ET.Element:
    made = ET.SubElement(
        into, f"{{{space}}}{name}", {key: _clean(value) for key, value in attributes.items()}
    )
    if text is not None:
        made.text = _clean(text)
    return made


def _digest(into: ET.Element, hexadecimal: str) -> None:
    ET.SubElement(into, f"{{{DS}}}DigestMethod", {"Algorithm": SHA256})
    _add(into, "DigestValue", base64.b64encode(bytes.fromhex(hexadecimal)).decode(), space=DS)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _main(indication: Indication, *, passed: bool) -> str:
    """Of a signature; a time-stamp by itself passes, and has no total (EN 319 102-1 5.4)."""
    whole = indication.value.lower()
    return whole.removeprefix("total-") if passed else whole


def _sub(sub: SubIndication) -> str:
    return f"{_ETSI}:subindication:{sub.value}"


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
