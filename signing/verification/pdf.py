"""Judges a PDF by what was read in it: this file holds the numbered steps of ETSI EN 319 102-1, for every signature.

- Later signatures are judged before earlier ones: whether a change counts as covered hangs on who signed after it.
- `best_signature_time` is the earliest passed time-stamp over the signature, else the validation time (V3).
- A signature with a forbidden later change is itself TOTAL-FAILED, and one over which a doubt of the file hangs is itself
  INDETERMINATE, so that who reads one field is not fooled (V1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from signing.trust.anchors import TrustSnapshot
from signing.trust.certificate import read as read_certificate
from signing.trust.purpose import unfit_to_sign
from signing.trust.revocation import Revocation, Supplied
from signing.verification.certificate_check import (
    At,
    Checked,
    Sources,
    check_certificate,
    check_strength,
)
from signing.verification.certificate_facts import facts_of
from signing.verification.changes import ChangesAfter, changes_after, permission_of
from signing.verification.cms_form import CERTIFICATE_NOT_NAMED, TRAILING_BYTES, SignedData
from signing.verification.levels import levels
from signing.verification.outcome import (
    FINE,
    UNJUDGED,
    Outcome,
    by_effect,
    failed,
    remark,
    together,
    undecided,
)
from signing.verification.pdf_facts import INSIDE, Facts, FoundSignature
from signing.verification.policy import Policy, Rule
from signing.verification.report import (
    PDF,
    TST,
    Coverage,
    Finding,
    Indication,
    Report,
    Severity,
    SignatureKind,
    SignatureReport,
    SubIndication,
    TimeSource,
    Verdict,
    rfc3339,
)
from signing.verification.timestamps import (
    AHEAD,
    DatedDocument,
    Stamp,
    judge_document_timestamps,
    judge_token,
    proven_by,
)

Sub = SubIndication
FAR = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Question:
    """`at` is the validation time. Where `time_source` is CLAIMED each signature is judged at the time that it claims,
    and at `at` where it claims none. `crls`, `ocsps`: DER that somebody named by hand."""

    name: str
    sha256: str
    trust: TrustSnapshot
    policy: Policy
    at: datetime
    time_source: TimeSource
    password: str | None = None
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


async def judge(facts: Facts, question: Question, revocation: Revocation | None) -> Report:
    """Asks nobody but `revocation`, and that only about standing paths (C4)."""
    sources = _sources(facts, question, revocation)
    # 1. The document time-stamps, from the newest backwards: they prove when the rest was there (5.5, 5.6.3).
    stamps = [one for one in facts.signatures if one.kind is SignatureKind.DOCUMENT_TIMESTAMP]
    dated = await judge_document_timestamps(stamps, question.at, sources)
    # 2. The signatures, the last one first.
    judged: dict[int, SignatureReport] = {}
    passed: list[int] = []
    order = sorted(range(len(facts.signatures)), key=lambda index: facts.signatures[index].end, reverse=True)
    for index in order:
        found = facts.signatures[index]
        permission = permission_of(found, facts.signatures)
        after = changes_after(found, facts.steps, permission=permission, passed=passed)
        if found.kind is SignatureKind.SIGNATURE:
            report = await _Signature(facts, question, sources, dated, found, after).judge()
        else:
            report = _document_timestamp(
                found, next(one for one in dated if one.signature is found), after, facts
            )
        judged[index] = report = _doubted(report, facts)
        if report.kind is SignatureKind.SIGNATURE and report.indication is Indication.TOTAL_PASSED:
            passed.append(found.end)
    # 3. The document (V1, V2).
    return _report(facts, question, [judged[index] for index in range(len(facts.signatures))])


def _sources(facts: Facts, question: Question, revocation: Revocation | None) -> Sources:
    inside = [one.cms for one in facts.signatures if one.cms is not None]
    tokens = [stamp.token for one in facts.signatures for stamp in one.timestamps if stamp.token is not None]
    embedded = Supplied(
        crls=_once(*facts.crls, *(crl for one in inside for crl in one.crls)),
        ocsps=_once(*facts.ocsps, *(ocsp for one in inside for ocsp in one.ocsps)),
    )
    certificates = _once(
        *facts.certificates,
        *(each for one in inside for each in one.certificates),
        *(each for one in tokens for each in one.certificates),
    )
    now = question.time_source is not TimeSource.GIVEN
    # The clock may be moved back by whoever asks; evidence does not become younger than it is by that (V6).
    offline = Revocation(None, clock=lambda: question.at if now else FAR)
    return Sources(
        trust=question.trust,
        policy=question.policy,
        offline=offline,
        online=revocation,
        embedded=embedded,
        beside=Supplied(question.crls, question.ocsps),
        certificates=certificates,
        latest=question.at + AHEAD if now else FAR + timedelta(days=1),
    )


def _once(*things: bytes) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(things))


@dataclass(frozen=True)
class _Signature:
    facts: Facts
    question: Question
    sources: Sources
    dated: Sequence[DatedDocument]
    found: FoundSignature
    after: ChangesAfter

    async def judge(self) -> SignatureReport:
        found = self.found
        # 1. Its form (5.2.2), and what it covers.
        outcomes = [self._form()]
        # 2. The bytes that were signed, and the signature's value (5.2.7).
        outcomes.append(self._bytes())
        # 3. What came after it (V1).
        outcomes.append(_changed(self.after))
        # 4. When it was there at the latest (5.5.4).
        stamps, at = await self._time()
        if not at.proven and found.cms is not None:
            outcomes.append(remark(Severity.INFO, "NO_TIMESTAMP"))
        outcomes += [Outcome(findings=one.findings) for one in stamps]
        # 5. Whose it is, and whether that certificate was good then (5.2.3, 5.2.6).
        checked = await self._certificate(at, stamps)
        outcomes.append(checked.outcome)
        # 6. Whether the certificate was for this, and the algorithms strong then (5.2.8).
        if found.cms is not None and found.cms.signer is not None:
            outcomes += [self._purpose(found.cms.signer), self._strength(found.cms, checked, at)]
        outcome = together(outcomes)
        # 7. The level that its material reached (V7).
        level, present = levels(
            found, stamps, self.dated, checked, has_material=bool(self.sources.embedded.crls or self.sources.embedded.ocsps)
        )  # fmt: skip
        findings = outcome.findings
        if outcome.indication is Indication.TOTAL_FAILED:
            level = None
        elif level != present and level and present:
            data = {"reached": level, "present": present}
            findings += (Finding("LEVEL_LOWER", Severity.INFO, data),)
        return SignatureReport(
            field=found.field,
            kind=found.kind,
            indication=outcome.indication or Indication.TOTAL_PASSED,
            sub_indication=outcome.sub,
            level=level,
            level_present=present,
            signer=_subject(found.cms),
            claimed_signing_time=found.claimed_time,
            best_signature_time=at.time,
            coverage=found.coverage,
            timestamps=tuple(one.report for one in stamps),
            signed_objects=_signed_objects(found, self.facts),
            changes_after=self.after.changes,
            findings=findings,
            chain=facts_of(checked.path),
            signed_revision=found.revision_sha256,
            signed_size=found.end if found.revision_sha256 else None,
        )

    def _form(self) -> Outcome:
        return form_of(self.found, self.question.policy)

    def _bytes(self) -> Outcome:
        if self.found.broken is None:
            return FINE
        sub, why = self.found.broken
        match sub:
            case "HASH_FAILURE":
                return failed(Sub.HASH_FAILURE, "BYTES_CHANGED")
            case "SIG_CRYPTO_FAILURE":
                return failed(Sub.SIG_CRYPTO_FAILURE, "SIGNATURE_BROKEN")
            case "NO_SIGNING_CERTIFICATE_FOUND":
                return undecided(Sub.NO_SIGNING_CERTIFICATE_FOUND, "NO_SIGNER")
        return failed(Sub.FORMAT_FAILURE, "FORM_BROKEN", why=why[:200])

    async def _time(self) -> tuple[list[Stamp], At]:
        """Every time-stamp with it, and the earliest time that one proves."""
        found, now = self.found, self.question.at
        if found.broken is not None and found.broken[0] != "NO_SIGNING_CERTIFICATE_FOUND":
            return [], At(now, proven=False)
        outer = proven_by(self.dated, found.end, now)
        stamps = [await judge_token(one, "SIGNATURE", outer, now, self.sources) for one in found.timestamps]
        content = [
            await judge_token(one, "CONTENT", outer, now, self.sources) for one in found.content_timestamps
        ]
        archive = [one.stamp for one in self.dated if one.signature.end > found.end]
        times = [one.time for one in stamps if one.passed and one.time]
        if outer.proven:
            times.append(outer.time)
        if times:
            at = At(min(times), proven=True)
        elif self.question.time_source is TimeSource.CLAIMED and found.claimed_time is not None:
            at = At(found.claimed_time, proven=False)
        else:
            at = At(now, proven=False)
        return [*content, *stamps, *archive], at

    async def _certificate(self, at: At, stamps: Sequence[Stamp]) -> Checked:
        cms = self.found.cms
        if cms is None or cms.signer is None:
            return Checked(FINE)
        # Signed after its certificate's end: a content time-stamp, made before the signature, proves it (5.5.4).
        ended = read_certificate(cms.signer).not_after
        if any(one.kind == "CONTENT" and one.passed and one.time and one.time > ended for one in stamps):
            return Checked(failed(Sub.EXPIRED, "EXPIRED_BEFORE", when=rfc3339(ended) or ""), (cms.signer,))
        return await check_certificate(cms.signer, cms.certificates, at, self.sources)

    def _purpose(self, signer: bytes) -> Outcome:
        policy = self.question.policy
        if unfit_to_sign(read_certificate(signer), policy.purposes) is None:
            return FINE
        return by_effect(policy.effect(Rule.PURPOSE), undecided(Sub.SIG_CONSTRAINTS_FAILURE, "PURPOSE"))

    def _strength(self, cms: SignedData, checked: Checked, at: At) -> Outcome:
        path = checked.path or (cms.signer or b"",)
        # There the document hangs on its SHA-1 alone, whatever that is signed by.
        digests = (cms.digest_name, "sha1") if self.found.sub_filter == INSIDE else (cms.digest_name,)
        return check_strength(cms.scheme, digests, path, at, self.question.at, self.question.policy)


def form_of(found: FoundSignature, policy: Policy) -> Outcome:
    """Of a signature or document time-stamp: what its bytes look like, before anything is computed."""
    outcomes = []
    if found.fault is not None:
        outcomes.append(Outcome(Indication.TOTAL_FAILED, Sub.FORMAT_FAILURE, (found.fault,)))
    elif found.coverage is Coverage.PARTIAL:
        outcomes.append(failed(Sub.FORMAT_FAILURE, "PARTIAL"))
    if found.unjudged is not None:
        sub = UNJUDGED.get(found.unjudged.code, Sub.SIG_CONSTRAINTS_FAILURE)
        outcomes.append(Outcome(Indication.INDETERMINATE, sub, (found.unjudged,)))
    flaws = found.cms.flaws if found.cms is not None else ()
    for rule, code, met, data in (
        (Rule.PADDING, "PADDING_NOT_ZERO", TRAILING_BYTES not in flaws, {}),
        (Rule.FORM, "OLD_FORM", CERTIFICATE_NOT_NAMED not in flaws, {}),
        (Rule.ENCODING, "ODD_ENCODING", not _odd(flaws), {"what": ", ".join(_odd(flaws))}),
    ):
        if not met:
            outcomes.append(
                by_effect(policy.effect(rule), undecided(Sub.SIG_CONSTRAINTS_FAILURE, code, **data))
            )
    return together(outcomes)


def _odd(flaws: Sequence[str]) -> list[str]:
    return [one for one in flaws if one not in {TRAILING_BYTES, CERTIFICATE_NOT_NAMED}]


def _changed(after: ChangesAfter) -> Outcome:
    if after.forbidden:
        return failed(Sub.FORMAT_FAILURE, "CHANGED_AFTER")
    return undecided(None, "DOUBTFUL_AFTER") if after.doubtful else FINE


def _document_timestamp(
    found: FoundSignature, dated: DatedDocument, after: ChangesAfter, facts: Facts
) -> SignatureReport:
    stamp = dated.stamp
    coverage = failed(Sub.FORMAT_FAILURE, "PARTIAL") if found.coverage is Coverage.PARTIAL else FINE
    outcome = together([stamp.outcome, coverage if found.fault is None else FINE, _changed(after)])
    return SignatureReport(
        field=found.field,
        kind=found.kind,
        indication=outcome.indication or Indication.TOTAL_PASSED,
        sub_indication=outcome.sub,
        level=None,
        level_present=None,
        signer=stamp.authority,
        claimed_signing_time=None,
        best_signature_time=dated.judged_at.time,
        coverage=found.coverage,
        timestamps=(stamp.report,),
        signed_objects=_signed_objects(found, facts),
        changes_after=after.changes,
        findings=outcome.findings,
        chain=facts_of(stamp.path),
        signed_revision=found.revision_sha256,
        signed_size=found.end if found.revision_sha256 else None,
    )


def _subject(cms: SignedData | None) -> str | None:
    return read_certificate(cms.signer).subject_text if cms is not None and cms.signer is not None else None


def _signed_objects(found: FoundSignature, facts: Facts) -> tuple[dict[str, str], ...]:
    """In a PDF the bytes that were signed, by their offsets: it has no other parts of its own."""
    if found.signed_sha256 is None:
        return ()
    name = facts.content or "content"
    if facts.format == PDF:
        name = f"bytes 0-{found.begin_hole} {found.end_hole}-{found.end}"
    return ({"name": name, "digest": f"sha256:{found.signed_sha256}"},)


def _doubted(report: SignatureReport, facts: Facts) -> SignatureReport:
    if not facts.doubts or report.indication is not Indication.TOTAL_PASSED:
        return report
    return replace(
        report,
        indication=Indication.INDETERMINATE,
        sub_indication=None,
        findings=(*report.findings, Finding("DOUBTFUL_AFTER", Severity.ERROR)),
    )


# -- the document


def _report(facts: Facts, question: Question, signatures: list[SignatureReport]) -> Report:
    findings = [*facts.doubts, *facts.remarks]
    if question.trust.demonstration:
        findings.append(Finding("DEMONSTRATION_TRUST", Severity.WARNING))
    if question.time_source is TimeSource.CLAIMED:
        findings.append(Finding("CLAIMED_TIME_USED", Severity.WARNING))
    return Report(
        file=question.name,
        sha256=question.sha256,
        format=facts.format,
        verdict=_verdict(signatures, facts),
        whole_document=any(
            one.indication is Indication.TOTAL_PASSED and one.coverage is Coverage.WHOLE_DOCUMENT
            for one in signatures
        ),
        policy_name=question.policy.name,
        policy_digest=question.policy.digest,
        validation_time=question.at,
        time_source=question.time_source,
        trust_digest=question.trust.digest,
        demonstration=question.trust.demonstration,
        signatures=tuple(signatures),
        findings=tuple(findings),
    )


def _verdict(signatures: Sequence[SignatureReport], facts: Facts) -> Verdict:
    """V1: the first that applies. A document time-stamp that fails is a finding; it fails no signature (V7). A time-stamp
    that is the file is what the verdict is about."""
    signed = [one for one in signatures if one.kind is SignatureKind.SIGNATURE or facts.format == TST]
    if not signed:
        return Verdict.NO_SIGNATURE
    if any(one.indication is Indication.TOTAL_FAILED for one in signed):
        return Verdict.INVALID
    if facts.doubts or any(one.indication is not Indication.TOTAL_PASSED for one in signed):
        return Verdict.INDETERMINATE
    return Verdict.VALID
