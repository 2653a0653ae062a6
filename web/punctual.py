"""How long a connection may stand open with no request on it: this file closes it then.

- uvicorn counts only between two requests, and forgets it with the first byte that comes: whoever sends nothing, or a
  head that never ends, would keep one of the few places for ever (CVE-2007-6750, "slowloris").
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN = 20.0  # seconds from the connection, or from the last answer, until a whole head is there


class Punctual(H11Protocol):
    head_within = HEAD_WITHIN
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(self.head_within, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """A request that has come is somebody else's business: `web/arriving.py` watches its body."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
