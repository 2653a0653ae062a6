"""How a token is doing: this file is the answer to a probe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenHealth:
    """`ready`: it could sign now, a probe was really signed where there is a probe key (`probed`). `why` is empty or
    one of: token-away, token-ambiguous, pin-refused, pin-missing, log-unavailable, probe-failed. `unusable` names keys of the book
    with what is wrong with each: no-certificate, not-found, other-key, extractable, not-sign-only, unsupported.
    `waiting` are orders in the queue, `uses` the lines of the use log."""

    ready: bool
    probed: bool
    why: str
    label: str
    serial: str
    manufacturer: str
    model: str
    usable: tuple[str, ...]
    unusable: tuple[tuple[str, str], ...]
    waiting: int
    uses: int

    @property
    def softhsm(self) -> bool:
        """Its keys are files: for development and tests alone."""
        return self.manufacturer.startswith("SoftHSM") or self.model.startswith("SoftHSM")
