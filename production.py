"""What production will not have: this file is the one table of its checks (K1-K3, K6, P2, S6).

- The start, `antin doctor` and `/readyz` ask this table: what one of them says the others say, every reason at once.
- A check looks at facts that were gathered before; it opens nothing and asks nobody but the file system.
- Sentences and what to do stand in `web/troubles.py`, by code.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from documents.rooms import Trouble
from hsm.key import HolderKind, KeyDescription, Purpose
from hsm.soft_token import SETTINGS as SOFTHSM_SETTINGS
from settings import Settings
from signing.trust.certificate import NotACertificate, read

SOFTHSM_ACCEPTED = "I accept that keys in SoftHSM are files"
INDEPENDENT_SOURCES = 2
DEMONSTRATION = "demonstration"  # its folder in the home
OF_THE_TOKEN = ("pin", "uses.sqlite", "keys.json")  # what the token process alone reads (K3)
EXAMPLES = "1.3.6.1.4.1.99999."  # an arc that nobody was given: as shipped, and for demonstration
WIDEST = 8  # bits that a network has at least, before whoever is in it is believed


@dataclass(frozen=True)
class Facts:
    """`demonstration` are anchors that are not believed here. `token_user` is who listens at the token's socket, None
    where nobody does; `user` is ours. `time_sources` counts different machines. `sole`: whether no other process serves
    from this SQLite."""

    settings: Settings
    user: int
    demonstration: Sequence[str] = ()
    keys: Sequence[KeyDescription] = ()
    softhsm: bool = False
    token_user: int | None = None
    time_sources: int = 0
    sole: bool = True


@dataclass(frozen=True)
class Check:
    """`found` names each thing that is wrong; nothing: all is well."""

    part: str
    code: str
    found: Callable[[Facts], Iterable[str]]
    stops: bool = True


def refusals(facts: Facts) -> list[Trouble]:
    """All that production will not have, in the order of the table."""
    return [Trouble(one.part, one.code, detail, one.stops) for one in CHECKS for detail in one.found(facts)]


# -- token


def _softhsm(facts: Facts) -> Iterator[str]:
    accepted = facts.settings.softhsm_in_production == SOFTHSM_ACCEPTED
    if not accepted and (facts.softhsm or (facts.settings.token / SOFTHSM_SETTINGS).exists()):
        yield str(facts.settings.token)


def _same_user(facts: Facts) -> Iterator[str]:
    if facts.token_user == facts.user:
        yield f"uid {facts.user}"


def _token_files(facts: Facts) -> Iterator[str]:
    for name in OF_THE_TOKEN:
        if os.access(facts.settings.token / name, os.R_OK):
            yield str(facts.settings.token / name)


def _persons_keys(facts: Facts) -> Iterator[str]:
    for key in facts.keys:
        if key.holder.kind is HolderKind.PERSON:
            yield key.name


# -- certificates


def _demonstration_keys(facts: Facts) -> Iterator[str]:
    for key in facts.keys:
        if any(_is_demonstration(one) for one in (key.certificate, *key.chain) if one):
            yield key.name


def _is_demonstration(certificate: bytes) -> bool:
    try:
        return "DEMO" in read(certificate).subject_text
    except NotACertificate:
        return False  # the watch names it


def _demonstration_authority(facts: Facts) -> Iterator[str]:
    if (folder := facts.settings.home / DEMONSTRATION).exists():
        yield str(folder)


# -- clock, database, store


def _time_sources(facts: Facts) -> Iterator[str]:
    if facts.time_sources < INDEPENDENT_SOURCES:
        yield ", ".join(facts.settings.clock_sources)


def _several(facts: Facts) -> Iterator[str]:
    if not _on_sqlite(facts.settings):
        return
    if (workers := os.environ.get("WEB_CONCURRENCY", "1")) != "1":
        yield f"WEB_CONCURRENCY={workers}"
    if not facts.sole:
        yield facts.settings.database


def _on_sqlite(settings: Settings) -> bool:
    return settings.database.startswith("sqlite")


def _sqlite(facts: Facts) -> Iterator[str]:
    if _on_sqlite(facts.settings):
        yield facts.settings.database


def _folder(facts: Facts) -> Iterator[str]:
    if not facts.settings.s3_endpoint:
        yield str(facts.settings.home / "store")


def _checkpoints(facts: Facts) -> Iterator[str]:
    if facts.settings.checkpoint_folder is None:
        yield str(facts.settings.checkpoints)


# -- settings


def _without_tls(facts: Facts) -> Iterator[str]:
    if urlsplit(facts.settings.address).scheme != "https":
        yield facts.settings.address


def _open_files(facts: Facts) -> Iterator[str]:
    """Secrets, and the folder that holds them. systemd gives credentials to a group by an ACL, so that the bit to read
    of a group says nothing there."""
    settings = facts.settings
    theirs = stat.S_IRWXO | stat.S_IWGRP
    for file, bits in (
        (settings.home, theirs),
        (settings.home / "seal.key", stat.S_IRWXG | stat.S_IRWXO),
        (settings.database_password_file, theirs),
        (settings.s3_credentials_file, theirs),
    ):
        mode = _mode(file) if file is not None else 0
        if mode & bits:
            yield f"{file} ({mode:04o})"


def _mode(file: Path) -> int:
    """0 for what is not there: whoever needs it says so."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return 0


def _weak(facts: Facts) -> Iterator[str]:
    """A setting of its own for each line."""
    settings = facts.settings
    if _nowhere(urlsplit(settings.address).hostname or ""):
        yield f"ANTIN_PUBLIC_URL={settings.address}"
    for name, networks in (
        ("ANTIN_TRUSTED_PROXIES", settings.trusted_proxies),
        ("ANTIN_REVOCATION_NETWORKS", settings.revocation_networks),
    ):
        for one in networks:
            if _too_wide(one):
                yield f"{name}={one}"
    stamps = any(one.purpose is Purpose.TIME_STAMPING for one in facts.keys)
    if stamps and settings.tsa_policy_oid.startswith(EXAMPLES):
        yield f"ANTIN_TSA_POLICY_OID={settings.tsa_policy_oid}"


def _nowhere(host: str) -> bool:
    """A name that leads nobody to us, and would stand in QR codes for ever."""
    return not host or host == "localhost" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False


def _too_wide(network: str) -> bool:
    """Half the world, or nothing that could be read."""
    try:
        return ip_network(network, strict=False).prefixlen < WIDEST
    except ValueError:
        return True


def _in_clear(facts: Facts) -> Iterator[str]:
    """Documents over a network that nobody hides."""
    endpoint = urlsplit(facts.settings.s3_endpoint)
    if endpoint.scheme == "http" and not _nowhere(endpoint.hostname or ""):
        yield f"ANTIN_S3_ENDPOINT={facts.settings.s3_endpoint}"


CHECKS = (
    Check("token", "softhsm-in-production", _softhsm),
    Check("token", "token-same-user", _same_user),
    Check("token", "token-files-readable", _token_files),
    Check("token", "persons-key-in-production", _persons_keys),
    Check("certificates", "demonstration-anchor", lambda facts: facts.demonstration),
    Check("certificates", "demonstration-key", _demonstration_keys),
    Check("certificates", "demonstration-authority", _demonstration_authority),
    Check("clock", "no-sources", _time_sources),
    Check("database", "sqlite-several-processes", _several),
    Check("database", "sqlite-in-production", _sqlite, stops=False),
    Check("database", "checkpoints-at-home", _checkpoints, stops=False),
    Check("store", "folder-in-production", _folder, stops=False),
    Check("settings", "public-url-without-tls", _without_tls),
    Check("settings", "open-to-others", _open_files),
    Check("settings", "weak-setting", _weak),
    Check("settings", "store-in-clear", _in_clear, stops=False),
)
