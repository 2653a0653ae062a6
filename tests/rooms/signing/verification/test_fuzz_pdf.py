"""A small run of `scripts/fuzz pdf`: whatever is changed ends in a verdict, and nothing passes over other bytes than were signed."""

from __future__ import annotations

from tests import fuzz_pdf
from tests.rooms.signing.verification.judging_world import World


def test_pdfs_changed_at_random(world: World) -> None:
    assert fuzz_pdf.run(fuzz_pdf.make_seeds(world), 600, 1, 1) == 0
