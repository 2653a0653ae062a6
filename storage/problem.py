"""What a keeper finds wrong with itself: this file holds the one shape in which it says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`code` is one of the codes that the keeper's `check` lists; `detail` holds no secret."""

    code: str
    detail: str
    stops: bool = True  # False: a warning, work goes on
