"""The book of keys while a token process works with it: this file notices when somebody else wrote it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from hsm import key_book
from hsm.key_book import KeyBook

log = logging.getLogger(__name__)


class OpenBook:
    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        """`changed` is called whenever another book holds. Raises BookDamaged, OSError."""
        self._folder, self._changed = folder, changed
        self._seen = self._mark()
        self.now = key_book.load(folder)

    def change(self, book: KeyBook) -> None:
        """Keeps the new book; it holds from now on. Raises OSError."""
        key_book.save(self._folder, book)
        self.now, self._seen = book, self._mark()
        self._changed()

    def look(self) -> None:
        """Reads the book again if another has written it. A damaged one changes nothing: the last good one holds, and it
        is said."""
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self.now = key_book.load(self._folder)
        except (key_book.BookDamaged, OSError) as wrong:
            log.error("the book of keys cannot be read, the last one holds: %s", wrong)
        else:
            self._changed()

    def _mark(self) -> tuple[int, int, int]:
        try:
            found = (self._folder / key_book.FILE).stat()
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_mtime_ns, found.st_size
