"""The document security store (ETSI EN 319 142-1 5.4): this file lays out what is added to a file's own, in an update.

- What stands in a store stays: arrays and dictionaries only grow.
- Each certificate, CRL and OCSP answer stands in a file once, whoever put it there.
- A file may bring a store of any kind: what cannot be read is kept as it is, and reading has an end.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pikepdf

from signing.pdf.form import root
from signing.pdf.opening import NotOpened
from signing.pdf.pages import is_array, is_dictionary
from signing.pdf.update import Update
from signing.pdf.values import array, dictionary, raw_members, with_entries, written

MOST_MEMBERS = 10_000  # of an array in a store
LARGEST = 32 << 20  # bytes of one stream
MOST_READ = 256 << 20  # bytes of all streams together
# Of the store and of one signature's entry in it (tables 1 and 2).
CERTIFICATES, CRLS, OCSPS = ("/Certs", "/Cert"), ("/CRLs", "/CRL"), ("/OCSPs", "/OCSP")
_ESIC = b"<</BaseVersion/1.7/ExtensionLevel 1>>"


@dataclass
class _Budget:
    left: int = MOST_READ


def extend(
    update: Update, material: Mapping[tuple[str, str], Iterable[bytes]], signature: str | None
) -> bool:
    """Lays the DER of each kind into the store; `signature` is the key of the signature that it is for. False where
    all of it stood there already. Raises NotOpened."""
    catalog = root(update.opened.pdf)
    found = catalog.get("/DSS")
    store = found if is_dictionary(found) else None
    budget, changes, members = _Budget(), dict[str, bytes](), dict[str, list[bytes]]()
    for (key, own_key), contents in material.items():
        stood = _members(store, key)
        known = _known(store, key, budget)
        members[own_key] = [
            known.get(_digest(one)) or update.stream({}, one) for one in dict.fromkeys(contents)
        ]
        added = [one for one in members[own_key] if one not in stood]
        if added:
            changes[key] = array(*stood, *added)
    entry = _for_signature(update, store, signature, members) if signature and any(members.values()) else None
    if not changes and entry is None:
        return False
    _put(update, catalog, store, changes | (entry or {}))
    return True


def _put(
    update: Update, catalog: pikepdf.Object, store: pikepdf.Object | None, changes: Mapping[str, bytes]
) -> None:
    """Into the store, and the store into the catalog where that must change."""
    above = _extensions(update, catalog)
    if store is None:
        above["/DSS"] = update.add(dictionary({"/Type": b"/DSS"} | dict(changes)))
    elif changes:
        above |= _changed(update, store, changes, ("/DSS", catalog))
    if above:
        _changed(update, catalog, above, ("", catalog))


def _changed(
    update: Update,
    node: pikepdf.Object,
    changes: Mapping[str, bytes],
    holder: tuple[str, pikepdf.Object],
) -> dict[str, bytes]:
    """An object of its own is written anew; one that lies in its holder becomes a change of the holder."""
    key, owner = holder
    if node.is_indirect:
        update.change(node, changes)
        return {}
    return {key: with_entries(node, changes, update.opened.strings(*owner.objgen))}


def _for_signature(
    update: Update, store: pikepdf.Object | None, signature: str, members: Mapping[str, list[bytes]]
) -> dict[str, bytes] | None:
    """What changes in the store for the signature's entry in /VRI; None where the entry has it all."""
    all_entries = store.get("/VRI") if store is not None else None
    if store is None or not is_dictionary(all_entries):
        return {"/VRI": dictionary({f"/{signature}": dictionary(_arrays(None, members))})}
    own = all_entries.get(f"/{signature}")
    known = own if is_dictionary(own) else None
    grown = _arrays(known, members)
    if not grown:
        return None
    owner = all_entries if all_entries.is_indirect else store
    if not owner.is_indirect:
        owner = root(update.opened.pdf)
    strings = update.opened.strings(*owner.objgen)
    entry = with_entries(known, grown, strings) if known is not None else dictionary(grown)
    return _changed(update, all_entries, {f"/{signature}": entry}, ("/VRI", owner))


def _arrays(entry: pikepdf.Object | None, members: Mapping[str, list[bytes]]) -> dict[str, bytes]:
    """The arrays of a signature's entry that grow."""
    grown = {}
    for key, wanted in members.items():
        stood = _members(entry, key)
        added = [one for one in wanted if one not in stood]
        if added:
            grown[key] = array(*stood, *added)
    return grown


def _members(holder: pikepdf.Object | None, key: str) -> list[bytes]:
    """An array's members as they are written: references."""
    found = holder.get(key) if holder is not None else None
    if not is_array(found):
        return []
    if len(found) > MOST_MEMBERS:
        raise NotOpened("too-complex", "the security store has no end")
    return [written(one) for one in raw_members(found)]


def _known(store: pikepdf.Object | None, key: str, budget: _Budget) -> dict[bytes, bytes]:
    """Digest of a stream's content -> the reference to it."""
    found = store.get(key) if store is not None else None
    known: dict[bytes, bytes] = {}
    for one in list(found) if is_array(found) else []:
        if isinstance(one, pikepdf.Stream) and (content := _content(one, budget)) is not None:
            known.setdefault(_digest(content), b"%d %d R" % one.objgen)
    return known


def _content(stream: pikepdf.Stream, budget: _Budget) -> bytes | None:
    """None where it is of an unusual form, damaged, or more than we read."""
    length, form = stream.get("/Length"), stream.get("/Filter")
    limit = min(LARGEST, budget.left)
    if not isinstance(length, int) or length > limit or "/DecodeParms" in stream:
        return None
    if is_array(form) and len(form) == 1:
        form = form[0]
    try:
        content = stream.read_raw_bytes()
        if form is not None:
            if form != "/FlateDecode":
                return None
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(content, limit)
            if unpacking.unconsumed_tail:
                return None
    except (pikepdf.PikepdfError, ValueError, RuntimeError, zlib.error):
        return None
    finally:
        budget.left -= length
    budget.left -= len(content)
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _extensions(update: Update, catalog: pikepdf.Object) -> dict[str, bytes]:
    """The developer extension that a store is before PDF 2.0 (EN 319 142-1 5.6); whatever stands there stays."""
    found = catalog.get("/Extensions")
    if update.opened.pdf.pdf_version >= "2.0":
        return {}
    if found is None:
        return {"/Extensions": dictionary({"/ESIC": _ESIC})}
    if not is_dictionary(found) or "/ESIC" in found:
        return {}
    return _changed(update, found, {"/ESIC": _ESIC}, ("/Extensions", catalog))


def signature_key(contents: bytes) -> str:
    """The name of a signature's entry: SHA-1 over the octets of /Contents, its zeros included (EN 319 142-1 5.4.2.3).
    The standard says SHA-1 here; it only names."""
    return hashlib.sha1(contents, usedforsecurity=False).hexdigest().upper()
