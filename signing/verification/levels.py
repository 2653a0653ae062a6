"""Which level a signature stands at, and which its material reached (V7; ETSI EN 319 142-1 6): this file counts."""

from __future__ import annotations

from collections.abc import Sequence

from signing.verification.certificate_check import Checked
from signing.verification.cms_form import CERTIFICATE_NOT_NAMED
from signing.verification.pdf_facts import FoundSignature
from signing.verification.report import CADES
from signing.verification.timestamps import DatedDocument, Stamp

LETTERS = ("B", "T", "LT", "LTA")


def levels(
    found: FoundSignature,
    stamps: Sequence[Stamp],
    dated: Sequence[DatedDocument],
    checked: Checked,
    *,
    has_material: bool,
) -> tuple[str | None, str | None]:
    """(reached, present). Names of a signature that is no baseline signature begin with PKCS7."""
    if found.cms is None:
        return None, None
    baseline = (
        found.sub_filter in {"/ETSI.CAdES.detached", CADES} and CERTIFICATE_NOT_NAMED not in found.cms.flaws
    )
    family = "B-" if baseline else "PKCS7-"
    later = [one for one in dated if one.signature.end > found.end]
    over = [one for one in stamps if one.kind != "CONTENT"]

    present = bool(found.timestamps or later) + 0
    if present and has_material:
        present = 3 if any(one.signature.sees_store for one in later) else 2

    inner = [one for one in over if one.kind == "SIGNATURE" and one.passed]
    reached = int(any(one.passed for one in over))
    if reached and checked.stands_alone and all(one.stands_alone for one in inner):
        archived = any(one.signature.sees_store and one.stamp.passed for one in later)
        reached = 3 if archived else 2
    return family + LETTERS[min(reached, present)], family + LETTERS[present]
