"""What one update did to a PDF: this file compares two views, and names every difference that a reader could see (T3).

- Nothing passes because it looks harmless: what is known to be a signature, a security store, a filled field and the like
  is named so; whatever else can be reached in the signed revision and differs is a change of content or structure.
- An object that stood nowhere but was referred to counts as well: to write it later is to change what was signed.
- What may change (fields, annotations, the security store) is looked at apart. What can also be reached by another way,
  as a picture or a font of a page, gets no such leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from signing.pdf.pages import is_dictionary
from signing.verification.pdf_form import Apart, FormChanges
from signing.verification.pdf_metadata import same_but_for_the_save
from signing.verification.pdf_structure import explain_growth
from signing.verification.pdf_tree import pages_of
from signing.verification.pdf_view import (
    Entries,
    Key,
    View,
    entries,
    key_of,
    members,
    references,
    same,
    token,
)

SILENT = {"/Extensions", "/Version", "/Type"}  # of the catalog: what a later version of PDF is told by


@dataclass(frozen=True)
class Event:
    """`kind` is of the closed list in `wording.CHANGES`. `mark` is the rectangle of a new visible
    signature; `stood`: its field stood there already."""

    kind: str
    page: int | None = None  # counted from 1
    field: str | None = None
    mark: tuple[float, float, float, float] | None = None
    stood: bool = False


def compare(older: View, newer: View, *, of_one_line: bool = True) -> tuple[Event, ...]:
    """`of_one_line`: the newer is what came of the older, and knows what its objects lead to. Raises pikepdf's errors where
    an object cannot be read."""
    events = _Comparison(older, newer).events()
    if of_one_line:  # the next comparison asks the same of the newer
        newer.inherit(older)
    return events


class _Comparison:
    def __init__(self, older: View, newer: View) -> None:
        self.a, self.b = older, newer
        self.found: dict[Event, None] = {}
        self.explained: set[Key] = set()
        self.changed = {key for key in newer.moved_from(older) if newer.differs_from(older, key)}

    def events(self) -> tuple[Event, ...]:
        a, b = self.a.pdf.trailer.get("/Root"), self.b.pdf.trailer.get("/Root")
        if token(self.a.pdf.trailer.get("/Encrypt")) != token(self.b.pdf.trailer.get("/Encrypt")):
            self.note("STRUCTURE")
        if not self.changed and token(a) == token(b):
            return tuple(self.found)
        if not is_dictionary(a) or not is_dictionary(b):
            self.note("STRUCTURE")
            return tuple(self.found)
        # 1. From the top down what may change, by its meaning.
        self.pages_a = pages_of(self.a)
        pages_changed = self.changed & self.pages_a.nodes or token(a.get("/Pages")) != token(b.get("/Pages"))
        self.pages_b = pages_of(self.b) if pages_changed else self.pages_a
        form = FormChanges(self)
        form.compare(a.get("/AcroForm"), b.get("/AcroForm"))
        self._catalog(entries(a), entries(b))
        self.explain(a)
        explain_growth(self, a.get("/StructTreeRoot"), b.get("/StructTreeRoot"), form.signed_widgets())
        self._pages(form)
        # 2. What can be reached in the older view, but for what was looked at apart, must be as it was.
        self._everything_else(form)
        return tuple(self.found)

    # -- also for FormChanges

    def note(self, kind: str, page: int | None = None, field: str | None = None, **more: object) -> None:
        self.found[Event(kind, page, field, **more)] = None  # type: ignore[arg-type]

    def explain(self, *things: object) -> None:
        self.explained.update(key for key in map(key_of, things) if key is not None)

    # -- the catalog

    def _catalog(self, a: Entries, b: Entries) -> None:
        for name in a.keys() | b.keys():
            if name in SILENT or name == "/AcroForm" or token(a.get(name)) == token(b.get(name)):
                continue
            if name == "/DSS":
                self.note("SECURITY_STORE" if is_dictionary(b.get(name)) else "STRUCTURE")
            elif name == "/Metadata":
                self._metadata()
            elif name == "/Pages":
                self.explain(a.get(name))  # the pages themselves are compared
            else:
                self.note("STRUCTURE")

    def _metadata(self) -> None:
        if not same_but_for_the_save(self.a.pdf, self.b.pdf):
            self.note("METADATA")

    # -- pages

    def _pages(self, form: FormChanges) -> None:
        a, b = self.pages_a, self.pages_b
        if a is not b:
            if [key for key, _ in a.pages] != [key for key, _ in b.pages]:
                self.note("PAGES_CHANGED")
                return
            # The tree itself: what its nodes hand down to pages must be as it was.
            self.explained |= a.nodes
            if a.handed_down != b.handed_down:
                self.note("PAGE_CONTENT")
        for number, ((key, node_a), (_, node_b)) in enumerate(zip(a.pages, b.pages, strict=True), 1):
            # Where the tree is the same, its pages were looked at in the older view only.
            newer = node_b if key is None else self.b.pdf.get_object(*key)
            self._page(number, node_a, newer, form)

    def _page(self, number: int, older: object, newer: object, form: FormChanges) -> None:
        key, a = key_of(older), entries(older)
        anew = key is None or key in self.changed
        if not anew and key_of(a.get("/Annots")) not in self.changed:
            return
        b = entries(newer)
        if anew:
            for name in a.keys() | b.keys():
                if name in {"/Annots", "/Tabs"} or token(a.get(name)) == token(b.get(name)):
                    continue
                if name == "/Parent" or not same(a.get(name), b.get(name)):
                    self.note("PAGE_CONTENT", number)
            self.explain(older)
        listed_a, listed_b = a.get("/Annots"), b.get("/Annots")
        if anew or key_of(listed_a) in self.changed:
            self.explain(listed_a)
            form.annotations(number, members(listed_a, led=False), members(listed_b, led=False))

    # -- everything else

    def _everything_else(self, form: FormChanges) -> None:
        a = self.a
        apart = form.apart()
        root = key_of(a.pdf.trailer.get("/Root"))
        store = references(a.pdf.Root.get("/DSS"))
        told = references(a.pdf.Root.get("/Metadata")) + references(a.pdf.trailer.get("/Info"))
        skipped = {(root, "/DSS"), (root, "/Metadata"), (root, "/Extensions"), *apart.skipped}
        if self._nothing_else(form, apart, skipped):
            return
        # 1. The content: all that is reached by no way that was looked at apart.
        content = self.a.reached([root] if root else [], skipped)
        for key in self.changed & content - self.explained:
            self._content(key)
        if apart.typed & self.changed & self._misused(content, apart.typed):
            self.note("STRUCTURE")
        if form.replaced and form.replaced & self.a.reached(
            [key for key, _ in self.pages_a.pages if key], set()
        ):
            self.note("FORM_CHANGED")
        # 2. What was looked at apart, in this order: what an annotation shares with a field is the annotation's.
        for number, keys in apart.annotations:
            if self.changed & self.a.reached(keys, skipped) - content - apart.typed - self.explained:
                self.note("ANNOTATION", number)
        for name, keys in apart.appearances.items():
            if self.changed & self.a.reached(keys, skipped) - content - self.explained:
                form.appearance_changed(name)
        form.tell_appearances()
        if self.changed & self.a.reached(store, set()) - content - self.explained:
            self.note("SECURITY_STORE")
        if self.changed & self.a.reached(told, set()) - content or self._info_replaced():
            self._metadata()

    def _nothing_else(self, form: FormChanges, apart: Apart, skipped: set[tuple[Key | None, str]]) -> bool:
        """Whether what changed, and was not explained, is reached by nobody who opens the older view but by way of its store:
        asked from what changed upwards, which is little, and not from the top down, which is all of the file."""
        a = self.a.pdf
        left = self.changed - self.explained
        above, holding = self.a.only_by(left, skipped), self.a.only_by(left, ())
        if above is None or holding is None or form.replaced or self._info_replaced():
            return False
        seen = {key for keys in apart.appearances.values() for key in keys}
        seen |= {key for _, keys in apart.annotations for key in keys}
        told = references(a.Root.get("/Metadata")) + references(a.trailer.get("/Info"))
        if above & {key_of(a.trailer.get("/Root")), *seen} or self.changed & self.a.reached(told):
            return False
        if self.a.oddly_led_to(apart.typed & self.changed, FIELD_WAYS | {"[]"}):
            return False
        form.tell_appearances()
        if holding & set(references(a.Root.get("/DSS"))):
            self.note("SECURITY_STORE")
        return True

    def _info_replaced(self) -> bool:
        return token(self.a.pdf.trailer.get("/Info")) != token(self.b.pdf.trailer.get("/Info"))

    def _misused(self, content: set[Key], typed: set[Key]) -> set[Key]:
        """Fields and lists of annotations that something refers to as if they were a picture, font or the like."""
        return {
            to
            for key in content
            for name, to in self.a.edges(key)
            if to in typed and name not in FIELD_WAYS and name != "[]"
        }

    def _content(self, key: Key) -> None:
        """Which page shows it? Only now, when something is wrong, it is worth looking."""
        for number, (page, _) in enumerate(self.pages_a.pages[:1000], 1):
            if page is not None:
                skipped: set[tuple[Key | None, str]] = {(page, "/Parent"), (page, "/Annots"), (page, "/B")}
                if key == page or key in self.a.reached([page], skipped):
                    self.note("PAGE_CONTENT", number)
                    return
        self.note("STRUCTURE")


FIELD_WAYS = frozenset({
    "/Kids", "/Parent", "/Fields", "/Annots", "/Obj", "/T", "/CO", "/Popup", "/IRT", "/AcroForm", "/Dest", "/D", "/P",
    "/Pg", "/Ref", "/Data", "/Target", "/Nums",
})  # fmt: skip
