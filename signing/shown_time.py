"""Times as Vietnam reads them: this file writes them in its official zone, with the zone beside them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

HANOI = timezone(timedelta(hours=7))  # Decree 134/2002: UTC+7, no summer time


def moment(time: datetime) -> str:
    """`15/01/2026 10:20 (+07)`."""
    return time.astimezone(HANOI).strftime("%d/%m/%Y %H:%M (+07)")


def moment_to_the_second(time: datetime) -> str:
    return time.astimezone(HANOI).strftime("%d/%m/%Y %H:%M:%S (+07)")


def day(time: datetime) -> str:
    return time.astimezone(HANOI).strftime("%d/%m/%Y")


def hour(time: datetime) -> str:
    return time.astimezone(HANOI).strftime("%H:%M")


def machine_time(time: datetime) -> str:
    """For the `datetime` attribute."""
    return time.astimezone(HANOI).isoformat(timespec="seconds")
