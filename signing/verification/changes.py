"""Which changes after a signature are allowed (V1): this file holds the rule for each kind, and the signer's own word.

- Silence permits further signatures, security stores and document time-stamps, nothing else. Filling in a form, an empty
  signature field and a changed description count as allowed when a later passed signature covers them: then somebody else
  stands for them.
- An explicit DocMDP speaks for its signature and for every later one without a word of its own. What it permits, a
  FieldMDP may still forbid.
- Annotations that P=3 permits may lie over anything: allowed, but in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from signing.verification.pdf_changes import Event
from signing.verification.pdf_facts import FoundSignature, Step
from signing.verification.report import Change

NO_CHANGES, FILLING_IN, ANNOTATING = 1, 2, 3  # DocMDP /P, ISO 32000-2 table 257


class _Kind(Enum):
    EVIDENCE = auto()  # of ISO 32000-2 12.8.4.3, which P=1 does not forbid either
    SIGNATURE = auto()
    FILLING = auto()
    ANNOTATION = auto()


_KINDS = {
    "SECURITY_STORE": _Kind.EVIDENCE,
    "DOCUMENT_TIMESTAMP": _Kind.EVIDENCE,
    "SIGNATURE": _Kind.SIGNATURE,
    "SIGNATURE_FIELD": _Kind.FILLING,
    "FORM_FILLING": _Kind.FILLING,
    "METADATA": _Kind.FILLING,
    "ANNOTATION": _Kind.ANNOTATION,
}
_FIELDS = {"SIGNATURE", "SIGNATURE_FIELD", "FORM_FILLING"}
_DOUBTFUL = {"UNKNOWN"}


@dataclass(frozen=True)
class ChangesAfter:
    """`doubtful`: something that is allowed, or cannot be told, keeps the file from being VALID."""

    changes: tuple[Change, ...]
    forbidden: bool
    doubtful: bool


def changes_after(
    signature: FoundSignature, steps: Iterable[Step], *, permission: int | None, passed: Sequence[int]
) -> ChangesAfter:
    """`permission`: see `permission_of`. `passed`: ends of the later signatures that passed."""
    found: dict[Change, None] = {}
    forbidden = doubtful = False
    for step in steps:
        if step.end <= signature.end:
            continue
        covered = any(end >= step.end for end in passed)
        for event in step.events:
            locked = (
                signature.lock is not None and event.kind in _FIELDS and signature.lock.covers(event.field)
            )
            allowed = not locked and _allowed(event, permission, covered=covered)
            found[Change(step.revision, event.kind, allowed, event.page)] = None
            doubt = event.kind in _DOUBTFUL or (allowed and _KINDS.get(event.kind) is _Kind.ANNOTATION)
            doubtful |= doubt
            forbidden |= not allowed and not doubt
    return ChangesAfter(tuple(found), forbidden, doubtful)


def permission_of(signature: FoundSignature, all_: Iterable[FoundSignature]) -> int | None:
    """DocMDP's /P that holds for what comes after this signature; None: nobody said a word."""
    if signature.permission is not None:
        return signature.permission
    earlier = [one for one in all_ if one.permission is not None and one.end < signature.end]
    return min((one.permission for one in earlier if one.permission is not None), default=None)


def _allowed(event: Event, permission: int | None, *, covered: bool) -> bool:
    kind = _KINDS.get(event.kind)
    if kind is _Kind.EVIDENCE:
        return True
    if kind is None or permission == NO_CHANGES:
        return False
    if kind is _Kind.SIGNATURE:
        return True
    if kind is _Kind.ANNOTATION:
        return permission == ANNOTATING
    return permission in {FILLING_IN, ANNOTATING} or (permission is None and covered)
