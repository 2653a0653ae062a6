"""The libraries that read what strangers send are none of those whose faults are known. No advisory is fetched: the list is
that of the day when it was looked through, and who locks anew (scripts/lock) looks again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version

TOP = Path(__file__).parents[2]
MENDED = {
    # library -> the first version without the fault, and which
    "pyhanko": ("0.36.2", "new fields took the place of old signatures in the comparison of revisions"),
    "pikepdf": ("2.10.0", "CVE-2021-29421, entities in metadata"),
    "starlette": ("0.49.1", "CVE-2024-47874, CVE-2025-54121, CVE-2025-62727: forms without limit, ranges"),
    "python-multipart": ("0.0.27", "CVE-2026-42561, GHSA-v9pg-7xvm-68hf, GHSA-vffw-93wf-4j4q: headers, lengths, names"),
    "cryptography": ("41.0.6", "CVE-2023-49083, loading PKCS#7"),
    "urllib3": ("2.6.0", "bodies that unpack without end"),
    "h11": ("0.16.0", "CVE-2025-43859, chunks that two read differently"),
    "jinja2": ("3.1.6", "CVE-2025-27516, out of the sandbox"),
}  # fmt: skip


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-tests.lock"])
def test_no_library_is_older_than_the_end_of_its_known_faults(lock: str) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (TOP / lock).read_text(), re.MULTILINE))
    for name, (mended, fault) in MENDED.items():
        assert Version(locked[name]) >= Version(mended), fault


def test_what_has_a_fault_that_nobody_confirmed_is_not_used() -> None:
    """CVE-2026-69247: opening PKCS#7 envelopes by `cryptography`."""
    for file in TOP.rglob("*.py"):
        if ".venv" not in file.parts and ".tools" not in file.parts and file != Path(__file__):
            assert "pkcs7_decrypt" not in file.read_text(), file


def test_nobody_waits_by_what_loses_a_cancellation() -> None:
    """Until Python 3.12 `asyncio.wait_for` lets a cancellation go that comes together with the answer: who waits for the end of
    such a task waits for ever. `asyncio.timeout` does not."""
    top = Path(__file__).parents[2]
    rooms = ("commands", "demonstration", "documents", "hsm", "signing", "storage", "web")
    files = [*top.glob("*.py"), *(file for room in rooms for file in (top / room).rglob("*.py"))]
    assert [str(one.relative_to(top)) for one in files if "wait_for(" in one.read_text()] == []
