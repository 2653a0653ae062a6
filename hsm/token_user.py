"""Who holds the token (K3): this file asks the kernel whose process listens at the socket."""

from __future__ import annotations

import socket as sockets
import struct
from pathlib import Path

from hsm.token_client import reachable

SECONDS = 5.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def user_of(socket: Path) -> int | None:
    """Its uid, as it was when it began to listen (unix(7), SO_PEERCRED); None where nobody lets us in. Blocks."""
    with sockets.socket(sockets.AF_UNIX) as asking:
        asking.settimeout(SECONDS)
        try:
            with reachable(socket) as address:
                asking.connect(address)
            credentials = asking.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return int(uid)
