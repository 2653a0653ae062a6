"""The table of settings in docs/operations.md: this file makes it from settings.py (`python -m scripts.settings`)."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

from settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- settings: made by python -m scripts.settings -->", "<!-- end of settings -->"


def table() -> str:
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `ANTIN_{name.upper()}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(rows)


def page() -> str:
    """The page as it should be."""
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def _shown(value: object) -> str:
    if value is None or value in ("", []):
        return ""
    if isinstance(value, Enum):
        value = value.value
    return f"`{json.dumps(value) if isinstance(value, list | bool) else value}`"


if __name__ == "__main__":
    PAGE.write_text(page())
