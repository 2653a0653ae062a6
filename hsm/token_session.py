"""One session with one token, kept open: this file logs in, notices that the token was away, and logs in again (T6).

- One thread uses it: python-pkcs11 with two kills its process (T5).
- Opening a module is serialised between processes by a lock on the module's file, and tried again (T15).
- A refused PIN is not tried again (T7); a token on its last try is not tried by a machine at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import TokenFlag

from hsm.key import KeyUnavailable, PinRefused
from hsm.pin import NoPin, PinGate, PinSource
from hsm.pkcs11_uri import Pkcs11Uri

OPENINGS = 4  # tries of one opening: SoftHSM fails now and then while another process opens it
LOCK_SECONDS = 10.0
BACK_OFF = (0.25, 5.0)  # seconds between openings while the token is away: first, most

_REFUSED = (
    pkcs11.PinIncorrect,
    pkcs11.PinLocked,
    pkcs11.PinExpired,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
)

log = logging.getLogger(__name__)


class TokenSession:
    def __init__(
        self,
        uri: Pkcs11Uri,
        pin: PinSource,
        gate: PinGate,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri, self._pin, self._gate, self._monotonic = uri, pin, gate, monotonic
        self._module: Any = None
        self._session: Any = None
        self.token: Any = None
        self.supported: frozenset[Any] = frozenset()  # mechanisms of the token
        self.handles: dict[str, Any] = {}  # private keys by their URI, found once per session
        self._not_before, self._delay = 0.0, BACK_OFF[0]

    @property
    def is_open(self) -> bool:
        return self._session is not None

    def get(self) -> Any:
        """The open session, logged in. Raises KeyUnavailable with `asked` false, PinRefused."""
        if self._session is not None:
            return self._session
        wait = self._not_before - self._monotonic()
        if wait > 0:
            raise KeyUnavailable("token", why="token-away", retry_after=wait)
        try:
            self._session = self._open()
        except KeyUnavailable:
            raise
        except OSError as wrong:  # that a PIN is tried cannot be written down, so it is not tried
            log.error("the state of the PIN cannot be kept: %s", wrong)
            raise KeyUnavailable("token", why="log-unavailable", retry_after=30) from wrong
        except pkcs11.MultipleTokensReturned as wrong:
            raise KeyUnavailable("token", why="token-ambiguous", retry_after=60) from wrong
        except pkcs11.PKCS11Error as wrong:
            self._not_before = self._monotonic() + self._delay
            raise KeyUnavailable("token", why="token-away", retry_after=self._delay) from wrong
        finally:
            self._delay = BACK_OFF[0] if self._session else min(self._delay * 2, BACK_OFF[1])
        log.info("token opened")
        return self._session

    def drop(self) -> None:
        """Forgets the session and its handles; the next `get` opens anew."""
        if self._session is not None:
            with contextlib.suppress(pkcs11.PKCS11Error):
                self._session.close()
        self._session = self.token = None
        self.handles.clear()

    @contextlib.contextmanager
    def writable(self) -> Iterator[Any]:
        """A second session that may write, logged in like the first. Raises KeyUnavailable, PKCS11Error."""
        self.get()
        session = self.token.open(rw=True)
        try:
            yield session
        finally:
            with contextlib.suppress(pkcs11.PKCS11Error):
                session.close()

    def _open(self) -> Any:
        pin = self._pin_to_try()
        path = self._uri.module_path
        if path is None:
            raise KeyUnavailable("token", why="module-not-named", retry_after=60)
        with _alone(path):
            self.token = self._find(str(path))
            self._look_at_tries(pin)
            # Reachable at all? Otherwise a token that goes away just now would seem to have had a try.
            self.token.open().close()
            self._gate.trying(pin)
            try:
                session = self.token.open(user_pin=pin)
            except _REFUSED as refused:
                self._gate.refused(pin, type(refused).__name__)
                log.error("the token refused the PIN: %s", type(refused).__name__)
                raise PinRefused("token", why="pin-refused", retry_after=60) from refused
            self._gate.accepted()
        self.supported = frozenset(self.token.slot.get_mechanisms())
        return session

    def _pin_to_try(self) -> str:
        try:
            pin = self._pin()
        except NoPin as wrong:
            raise KeyUnavailable("token", why="pin-missing", retry_after=60) from wrong
        if not self._gate.may_try(pin):
            raise PinRefused("token", why="pin-refused", retry_after=60)
        return pin

    def _look_at_tries(self, pin: str) -> None:
        flags = TokenFlag(self.token.flags)
        if flags & (TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_FINAL_TRY):
            self._gate.refused(pin, "the token has one try left, or none")
            raise PinRefused("token", why="pin-refused", retry_after=60)

    def _find(self, path: str) -> Any:
        """Initialises the module and finds the token. Initialised before: anew, as a module that has lost its token may
        not see it come back."""
        for left in reversed(range(OPENINGS)):
            try:
                if self._module is None:
                    self._module = pkcs11.lib(path)
                else:
                    self._module.reinitialize()
                return self._named()
            except pkcs11.MultipleTokensReturned:
                raise
            except pkcs11.PKCS11Error:
                if not left:
                    raise
                time.sleep(0.05 * (OPENINGS - left))
        raise AssertionError("the last try raises or returns")

    def _named(self) -> Any:
        found = [one for one in self._module.get_tokens() if self._uri.is_of(one)]
        if len(found) > 1:
            raise pkcs11.MultipleTokensReturned(str(self._uri))
        if not found:
            raise pkcs11.NoSuchToken(str(self._uri))
        return found[0]


@contextlib.contextmanager
def _alone(module: Path) -> Iterator[None]:
    """Nobody else of ours opens this module meanwhile; who holds it too long is not waited for."""
    try:
        file = module.open("rb")
    except OSError as wrong:
        raise KeyUnavailable("token", why="module-not-there", retry_after=60) from wrong
    with file:
        until = time.monotonic() + LOCK_SECONDS
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
        yield
