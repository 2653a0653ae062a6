"""What in a file speaks against signing it: this file finds it before any key is touched.

Each is a fact of the file with its code; what is allowed all the same (JavaScript, embedded files) says the caller.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import pikepdf

from signing.pdf.form import Field, fields, form, names_in, references, root
from signing.pdf.opening import NotOpened, Opened
from signing.pdf.pages import is_array, is_dictionary, pages, spoken

MOST_ACTIONS = 100_000
LARGEST_METADATA = 4 * 1024**2
_PDFA_PART = re.compile(rb"pdfaid:part(?:\s*=\s*[\"']|(?:\s[^<>]*)?>\s*)(\d)")


def refuse_xfa(opened: Opened) -> None:
    """What XFA shows does not stand in the pages that are signed."""
    found = form(opened.pdf)
    if found is not None and "/XFA" in found:
        raise NotOpened("xfa")


def refuse_certified(opened: Opened, known: list[Field]) -> None:
    """An earlier signature that permits no change (DocMDP /P 1; ISO 32000-1 table 254)."""
    permissions = root(opened.pdf).get("/Perms")
    certified = permissions.get("/DocMDP") if is_dictionary(permissions) else None
    if is_dictionary(certified) and any(_forbids_all(*one) for one in references(certified)):
        raise NotOpened("certified-no-changes")
    for field in known:
        signature = field.signature
        if signature is None:
            continue
        for method, parameters in references(signature):
            if _forbids_all(method, parameters):
                raise NotOpened("certified-no-changes", field.name)


def _forbids_all(method: str, parameters: pikepdf.Object | None) -> bool:
    return method == "/DocMDP" and parameters is not None and parameters.get("/P") == 1


def refuse_locked(known: list[Field], wanted: str) -> None:
    """An earlier signature that locks the field we would sign in (FieldMDP; ISO 32000-1 table 256)."""
    for field in known:
        signature = field.signature
        if signature is None:
            continue
        for method, parameters in references(signature):
            if method == "/FieldMDP" and parameters is not None and locks(parameters, wanted):
                raise NotOpened("field-locked", field.name)


def locks(parameters: pikepdf.Object, name: str) -> bool:
    """Whether a FieldMDP, or a lock of a field, covers the field of this name or one above it."""
    listed = names_in(parameters.get("/Fields"))
    among = any(name == one or name.startswith(one + ".") for one in listed)
    action = spoken(parameters.get("/Action"))
    return action == "/All" or (action == "/Include" and among) or (action == "/Exclude" and not among)


def refuse_javascript(opened: Opened) -> None:
    catalog = root(opened.pdf)
    names = catalog.get("/Names")
    if is_dictionary(names) and "/JavaScript" in names:
        raise NotOpened("javascript", "document")
    seen: set[tuple[int, int]] = set()
    for holder in _holders(opened.pdf):
        if any(_is_javascript(action, seen) for action in _actions(holder)):
            raise NotOpened("javascript", "action")


def refuse_embedded_files(opened: Opened) -> None:
    catalog = root(opened.pdf)
    names = catalog.get("/Names")
    if (is_dictionary(names) and "/EmbeddedFiles" in names) or is_array(catalog.get("/AF")):
        raise NotOpened("embedded-files")
    for node, _ in pages(opened.pdf):
        if any(one.get("/Subtype") == "/FileAttachment" for one in annotations_of(node)):
            raise NotOpened("embedded-files", "annotation")


def pdfa_part(opened: Opened) -> int | None:
    """The part of ISO 19005 that the file says it follows."""
    metadata = root(opened.pdf).get("/Metadata")
    if not isinstance(metadata, pikepdf.Stream):
        return None
    try:
        found = _PDFA_PART.search(_unpacked(metadata))
    except (pikepdf.PikepdfError, ValueError, RuntimeError, zlib.error):
        return None
    return int(found[1]) if found else None


def _unpacked(metadata: pikepdf.Stream) -> bytes:
    """At most so much: a stream may unpack to anything. PDF/A allows no other filter here (ISO 19005-2 6.6.2.1)."""
    declared = metadata.get("/Length")
    if not isinstance(declared, int) or declared > LARGEST_METADATA:
        return b""
    packed = metadata.read_raw_bytes()
    if "/Filter" not in metadata:
        return packed
    return zlib.decompressobj().decompress(packed, LARGEST_METADATA)


def _holders(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """Whatever may carry an action: the document, its bookmarks, its pages, their annotations, the fields."""
    yield root(pdf)
    yield from _bookmarks(root(pdf))
    for node, _ in pages(pdf):
        yield node
        yield from annotations_of(node)
    for field in fields(pdf):
        yield field.node


def _bookmarks(catalog: pikepdf.Object) -> Iterator[pikepdf.Object]:
    """Items of the outline (ISO 32000-1 12.3.3), each once. Raises NotOpened where there is no end of them."""
    seen: set[tuple[int, int]] = set()
    waiting = [catalog.get("/Outlines")]
    for _ in range(MOST_ACTIONS):
        if not waiting:
            return
        item = waiting.pop()
        if not is_dictionary(item) or (item.is_indirect and item.objgen in seen):
            continue
        if item.is_indirect:
            seen.add(item.objgen)
        yield item
        waiting += [item.get("/Next"), item.get("/First")]
    raise NotOpened("too-complex", "the outline has no end")


def annotations_of(node: pikepdf.Object) -> list[pikepdf.Object]:
    """Of one page."""
    found = node.get("/Annots")
    return [one for one in list(found)[:MOST_ACTIONS] if is_dictionary(one)] if is_array(found) else []


def _actions(holder: pikepdf.Object) -> Iterator[pikepdf.Object]:
    for key in ("/A", "/OpenAction"):
        if is_dictionary(one := holder.get(key)):
            yield one
    if is_dictionary(more := holder.get("/AA")):
        yield from (one for one in (more.get(str(key)) for key in more) if is_dictionary(one))


def _is_javascript(action: pikepdf.Object, seen: set[tuple[int, int]]) -> bool:
    """The action, or one that follows it: `/Next` is one or many (ISO 32000-1 12.6.2). What was `seen` is passed over."""
    waiting: list[pikepdf.Object | None] = [action]
    for _ in range(MOST_ACTIONS):
        if not waiting:
            return False
        one = waiting.pop()
        if not is_dictionary(one) or (one.is_indirect and one.objgen in seen):
            continue
        if one.is_indirect:
            seen.add(one.objgen)
        if one.get("/S") == "/JavaScript" or "/JS" in one:
            return True
        following = one.get("/Next")
        waiting += list(following)[:MOST_ACTIONS] if is_array(following) else [following]
    raise NotOpened("too-complex", "an action has no end of others behind it")
