"""Our own files as years go by, renewed and not: this file signs them once and renews them in time, while the authorities live as
long as usual (signer three years, time-stamp authority five, its successors five, issuing CA twelve)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from signing.profile import Level
from signing.verification.report import SignatureReport
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World

SIGNED = datetime(2026, 6, 1, 9, tzinfo=UTC)
LIVES = {"root": (2020, 2050), "issuing": (2025, 2037), "responder": (2025, 2037), "tsa": (2026, 2031)}
LEVELS = ("B-LT", "B-LTA")
RENEWED = {"+1": "in month 6", "+6": "in month 6, year 4", "+11": "in month 6, year 4, year 8"}
Cell = tuple[str, str, str]  # level, when renewed, clock: as the table in docs/verification.md writes them

_RENEWALS = (
    (SIGNED.replace(month=12), None),
    (SIGNED.replace(year=2030), ("World TSA 2030", (2030, 2035))),
    (SIGNED.replace(year=2034), ("World TSA 2034", (2034, 2039))),
)


def set_clock(world: World, when: datetime) -> None:
    world.clock.move(when - world.clock())


def signed(world: World, level: Level) -> bytes:
    set_clock(world, SIGNED)
    world.person("official", years=(2026, 2029))
    return world.ours(letter(), level, claimed_time=world.clock())


def ageing(world: World) -> Iterator[dict[Cell, bytes]]:
    """The files of each clock of RENEWED, while the world's clock stands there. The world has LIVES."""
    left = {level: signed(world, Level(level)) for level in LEVELS}
    tended = dict(left)
    for (clock, renewed), (when, successor) in zip(RENEWED.items(), _RENEWALS, strict=True):
        set_clock(world, when)
        if successor is not None:
            world.pki.succeed_tsa(*successor)
        tended = {level: world.renewed(paper) for level, paper in tended.items()}
        set_clock(world, SIGNED.replace(year=SIGNED.year + int(clock)))
        yield {
            (level, how, clock): paper
            for level in LEVELS
            for how, paper in (("no", left[level]), (renewed, tended[level]))
        }


def said(signature: SignatureReport) -> str:
    sub = signature.sub_indication
    return signature.indication.value + (f", {sub.value}" if sub else "")
