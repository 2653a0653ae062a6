"""A token made of files, for development and tests: this file sets up SoftHSM in a folder of its own
(`python -m hsm.soft_token DIR`), with a PIN that nobody knows and a probe key.

- Its settings lie in the folder and are read by the processes of this token alone.
- Whoever reads the folder has the keys: production refuses it by `TokenHealth.softhsm`.
- The module is loaded in a child process: it reads its settings once, from its environment.
- Only SoftHSM is ever initialised: another module's token may hold somebody's keys.
- SoftHSM (2.6.1) empties the file that says what the token is and writes it anew, at every log-in. Whoever is killed between
  the two leaves no token, and no key can be used any more: a copy lies beside it, and takes its place.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import logging
import os
import secrets
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from hsm import key_book, use_log
from hsm.key import Holder, HolderKind, Purpose
from hsm.key_book import KeyBook, KeyEntry, sync_folder, write_whole
from hsm.pin import FILE as PIN_FILE
from hsm.pkcs11_uri import Pkcs11Uri

MODULES = (  # where Debian, Ubuntu, Fedora and a build from source put it
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)
SETTINGS = "softhsm2.conf"
LOCK = "make.lock"
PROBE_KEY = "probe"
SERVICE = UUID(int=0)
OBJECT, WHOLE = (
    "token.object",
    "token.whole",
)  # label, serial number, flags and wrapped key of the token; its copy

log = logging.getLogger(__name__)


class NoSoftHsm(Exception):
    """SoftHSM is not installed, or would not make a token."""


def module_path() -> Path:
    """Raises NoSoftHsm."""
    for one in MODULES:
        if one.exists():
            return one
    raise NoSoftHsm("libsofthsm2.so is not installed")


def make(
    folder: Path, *, label: str = "antin", module: Path | None = None, uids: frozenset[int] = frozenset()
) -> None:
    """Makes a token in the folder, its PIN file, and a book with a probe key; a folder that has a book stays as it is.
    Persons' keys may be used there without a release (K2: development alone). Raises NoSoftHsm."""
    if (folder / key_book.FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (folder / key_book.FILE).exists():  # nobody else has made it meanwhile
            _make(folder, label, module or module_path(), uids)


def mend(folder: Path) -> None:
    """For who holds the folder's lock, before the module is loaded: keeps the copy, or puts it back. Raises OSError."""
    for file in (folder / "tokens").glob(f"*/{OBJECT}"):
        if not file.is_file():  # a pipe would be read for ever
            continue
        whole = file.with_name(WHOLE)
        now, before = file.read_bytes(), whole.read_bytes() if whole.exists() else b""
        if len(now) < len(before):  # what changes in it, flags and wrapped key, has the same length
            log.error("SoftHSM's %s was cut off: it is put back as it was", OBJECT)
            write_whole(file, before)
        elif now != before:
            write_whole(whole, now)


def _make(folder: Path, label: str, module: Path, uids: frozenset[int]) -> None:
    tokens = folder / "tokens"
    if tokens.exists():
        # Half made before a crash, or its book was lost: two tokens of one name would not be told apart, and what may
        # hold keys is not deleted.
        tokens.rename(folder / f"tokens.without-book-{secrets.token_hex(4)}")
    tokens.mkdir(mode=0o700)
    settings = folder.absolute() / SETTINGS
    settings.write_text(
        f"directories.tokendir = {tokens.absolute()}\nobjectstore.backend = file\nlog.level = ERROR\n"
        "slots.removable = false\n"
    )
    command = [sys.executable, "-m", "hsm.soft_token", str(folder.absolute()), "--label", label]
    command += [
        "--module",
        str(module),
        "--uids",
        ",".join(str(one) for one in sorted(uids)),
    ]
    made = subprocess.run(
        command,
        env={**os.environ, "SOFTHSM2_CONF": str(settings)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if made.returncode:
        raise NoSoftHsm(made.stderr.decode(errors="replace")[-500:])


def _make_here(folder: Path, label: str, module: Path, uids: frozenset[int]) -> None:
    """In the child: initialises the token, sets the PIN, makes the probe key, writes the book last."""
    import pkcs11

    from hsm import token_keys
    from hsm.pin import PinGate, prompted
    from hsm.token_session import TokenSession

    pin, operator_pin = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    _initialise(module, label, operator_pin)
    found = pkcs11.lib(str(module)).get_token(token_label=label)
    with found.open(rw=True, so_pin=operator_pin) as session:
        session.init_pin(pin)
    descriptor = os.open(folder / PIN_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(pin + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    uri = Pkcs11Uri(token=label, serial=found.serial.decode(), module_path=module)
    token = TokenSession(uri, prompted(pin), PinGate(folder))
    probe_uri, public_key = token_keys.make(token, PROBE_KEY, "ec-p256")
    probe = KeyEntry(
        PROBE_KEY, SERVICE, Purpose.PROBE, Holder(HolderKind.SERVICE, SERVICE), probe_uri, public_key
    )
    token.drop()
    use_log.begin(folder)
    key_book.save(folder, KeyBook(uri, uids, persons=True, keys=(probe,)))


def _initialise(module: Path, label: str, operator_pin: str) -> None:
    """python-pkcs11 has no C_InitToken, and `softhsm2-util` wants the PINs among its arguments."""
    library = ctypes.CDLL(str(module))
    slot, count = ctypes.c_ulong(), ctypes.c_ulong(1)
    pin = operator_pin.encode()
    every = ctypes.c_ubyte(0)  # slots without a token too
    _ok(library.C_Initialize(None))
    about = ctypes.create_string_buffer(256)  # CK_INFO: two bytes of version, then manufacturerID
    _ok(library.C_GetInfo(about))
    if not about.raw[2:34].startswith(b"SoftHSM"):
        raise NoSoftHsm(f"{module} is not SoftHSM: its token is not initialised by us")
    _ok(library.C_GetSlotList(every, ctypes.byref(slot), ctypes.byref(count)))
    _ok(library.C_InitToken(slot, pin, ctypes.c_ulong(len(pin)), label.encode().ljust(32)))
    _ok(library.C_Finalize(None))


def _ok(answer: int) -> None:
    if answer != 0:
        raise NoSoftHsm(f"PKCS#11 error {answer:#x}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m hsm.soft_token")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--label", default="antin")
    parser.add_argument("--module", type=Path, default=None)
    parser.add_argument("--uids", default="")
    given = parser.parse_args()
    _make_here(
        given.folder,
        given.label,
        given.module or module_path(),
        frozenset(int(one) for one in given.uids.split(",") if one),
    )
