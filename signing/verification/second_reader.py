"""A second reader beside our own (qpdf, through pikepdf): this file opens what was written as it opens what came before,
and says which objects an update redefined and which it added.

- What was signed must open without any mending; only the document as it came may need it.
- An object is the same where its bytes are: the old bytes are a prefix, so equal places mean equal objects.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pikepdf

Key = tuple[int, int]  # number and generation
Place = tuple[int, int, int]  # 1, offset, 0; or 2, object stream, index

READ_AT_ONCE = 16 << 20
FAILURES = (pikepdf.PikepdfError, ValueError, TypeError, RuntimeError, OverflowError, KeyError, IndexError)
_REFERENCE = re.compile(rb"(?<!\d)(\d{1,10}) \d{1,5} R\b")
_OBJECT = re.compile(rb"\s*(\d+)\s+(\d+)\s+obj")
_PLACE = re.compile(r"\(.*\)|: stream <.*?>|^.*?: ")


class NotOpenedAlike(ValueError):
    """qpdf does not see the file as it should be seen."""


@dataclass(frozen=True)
class View:
    """What qpdf sees. `entries` are the places of all objects; `mended` where the cross-references had to be found
    again."""

    pdf: pikepdf.Pdf
    entries: Mapping[Key, Place]
    mended: bool

    @property
    def highest(self) -> int:
        return max((number for number, _ in self.entries), default=0)

    def object(self, key: Key) -> pikepdf.Object:
        with pikepdf.explicit_conversion():
            found = self.pdf.get_object(*key)
        if not isinstance(found, pikepdf.Object):
            raise NotOpenedAlike(f"object {key} is none")
        return found

    def is_null(self, key: Key) -> bool:
        with pikepdf.explicit_conversion():
            return self.pdf.get_object(*key) is None


@contextmanager
def viewed(
    path: Path, password: str | None, *, size: int | None = None, mend: bool = False
) -> Iterator[View]:
    """The file, or its first `size` bytes. Raises NotOpenedAlike."""
    try:
        pdf = _open(path, password, size, mend=mend)
    except FAILURES as wrong:
        raise NotOpenedAlike(f"it does not open: {str(wrong)[:200]}") from wrong
    try:
        if mend:
            pdf = _mended(pdf, path, password, size)
        yield View(pdf, _places(pdf), mend)
    except FAILURES as wrong:
        if isinstance(wrong, NotOpenedAlike):
            raise
        raise NotOpenedAlike(f"it does not read: {str(wrong)[:200]}") from wrong
    finally:
        pdf.close()


def _mended(pdf: pikepdf.Pdf, path: Path, password: str | None, size: int | None) -> pikepdf.Pdf:
    """qpdf mends when it meets the damage, and what it read before keeps nothing where objects were found only then:
    so it is led to the damage first."""
    told = _places(pdf)
    _read_all(pdf, told)
    found = _places(pdf)
    if found == told:
        return pdf
    pdf.close()
    again = _open(path, password, size, mend=True)
    _read_all(again, [key for key, place in told.items() if found.get(key) != place])
    _read_all(again, _places(again))
    return again


def _read_all(pdf: pikepdf.Pdf, keys: Iterable[Key]) -> None:
    for key in keys:
        pdf.get_object(*key)


def _open(path: Path, password: str | None, size: int | None, *, mend: bool) -> pikepdf.Pdf:
    # Streamed, not mapped: a file of gigabytes must not count as our memory. Pages are left as they stand.
    source: Path | io.BytesIO | io.BufferedReader = path
    if size is not None:
        source = _begin(path, size)
    return pikepdf.open(
        source,
        password=password or "",
        attempt_recovery=mend,
        suppress_warnings=True,
        inherit_page_attributes=False,
        access_mode=pikepdf.AccessMode.stream if size is None else pikepdf.AccessMode.default,
    )


def _places(pdf: pikepdf.Pdf) -> dict[Key, Place]:
    return {
        key: (1, one.offset or 0, 0)
        if one.type == 1
        else (one.type, one.obj_stream_number or 0, one.obj_stream_index or 0)
        for key, one in pdf.get_xref_table().items()
    }


def _begin(path: Path, size: int) -> io.BytesIO | io.BufferedReader:
    if size <= READ_AT_ONCE:
        with path.open("rb") as file:
            return io.BytesIO(file.read(size))
    return io.BufferedReader(_Begin(path, size), READ_AT_ONCE >> 4)


class _Begin(io.RawIOBase):
    """The first bytes of a file, as if it ended there."""

    def __init__(self, path: Path, size: int) -> None:
        self._file, self._size = path.open("rb", buffering=0), size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(*((self._size + offset, 0) if whence == 2 else (offset, whence)))

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        left = max(0, self._size - self._file.tell())
        return self._file.readinto(view[:left])

    def close(self) -> None:
        self._file.close()
        super().close()


def misplaced(path: Path, view: View) -> set[Key]:
    """Objects that do not begin where the cross-references say; qpdf must not be asked for one of these unmended."""
    found: set[Key] = set()
    with path.open("rb") as file:
        size = path.stat().st_size
        whole = file.read() if size <= READ_AT_ONCE else None
        for key, (kind, offset, _) in view.entries.items():
            if kind != 1:
                continue
            if whole is not None:
                begin = whole[offset : offset + 40]
            else:
                file.seek(offset)
                begin = file.read(40)
            stated = _OBJECT.match(begin)
            if stated is None or (int(stated[1]), int(stated[2])) != key:
                found.add(key)
    return found


def warnings_of(view: View) -> set[str]:
    """Without the places, which differ where a file grew."""
    return {_PLACE.sub("", str(one)) for one in view.pdf.get_warnings()}


def pages_of(view: View) -> int | None:
    """How many pages qpdf counts; None where it cannot. It mends the tree while it counts, so this is asked last."""
    try:
        return len(view.pdf.pages)
    except FAILURES:
        return None


def redefined(old: View, new: View) -> set[Key]:
    """Objects whose place is another. An object that is lost in the new file must have been nothing in the old, or of an
    older generation than one that stands in both: mending finds it, though a table has one line for each number."""
    if old.entries == new.entries:
        return set()
    moved = {key for key, place in old.entries.items() if new.entries.get(key) != place}
    lost = {key for key in moved if key not in new.entries}
    newest = dict(sorted(old.entries.keys() & new.entries.keys())) if lost else {}
    if any(newest.get(key[0], -1) < key[1] and not old.is_null(key) for key in lost):
        raise NotOpenedAlike(f"objects {sorted(lost)[:5]} are gone")
    return moved - lost


def added(old: View, new: View) -> set[Key]:
    return {key for key in new.entries if key not in old.entries}


def referring(view: View, numbers: set[int], among: Iterable[Key]) -> set[Key]:
    """Which of these objects refer to one of the numbers. An object of the document that refers to what was added after
    it referred to nothing before, and would now show what was not there."""
    found: set[Key] = set()
    with pikepdf.explicit_conversion():
        for key in among:
            try:
                one = view.pdf.get_object(*key)
                if isinstance(one, pikepdf.Stream):
                    one = one.stream_dict
                text = one.unparse(resolved=True) if isinstance(one, pikepdf.Object) else b""
            except FAILURES:  # what qpdf cannot read refers to nothing
                continue
            if not numbers.isdisjoint(map(int, _REFERENCE.findall(text))):
                found.add(key)
    return found
