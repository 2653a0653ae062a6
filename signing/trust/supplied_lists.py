"""CRLs that somebody brought, all kinds of them: this file says what they together say of each certificate of a path, as
RFC 5280 6.3 has it. Nobody is asked.

- Complete lists, for a part of the certificates or of the reasons, indirect lists, deltas with their base; signed by the
  certificate's issuer with any of its keys, or by whom the certificate names. Whoever signed stands himself on a path to
  the same anchor and is not revoked.
- A revocation that any of them tells of is never outvoted, however old or for whatever part the list is (V3, V4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from signing.trust.anchors import Anchor, TrustSnapshot
from signing.trust.bag import Bag
from signing.trust.certificate import MALFORMED, Certificate, read
from signing.trust.crl import Crl, NotACrl
from signing.trust.crl_scope import ALL_REASONS, Point, in_scope, points_of
from signing.trust.dsa import working_keys
from signing.trust.path import NoPath, find_path
from signing.trust.status import Answer, Moment, Status, Why, judged

MAX_CHECKS = 20_000  # of a list for a certificate
WHILE_IT_SAYS = timedelta(days=36_500)  # a list that names its next one counts until then


class TooManyLists(Exception):
    """More work than we do for one path."""


@dataclass(frozen=True)
class _Place:
    """A certificate on a path: what stands above it, with the keys that sign there."""

    path: Sequence[Certificate]
    keys: Sequence[bytes]
    number: int = 0

    @property
    def certificate(self) -> Certificate:
        return self.path[self.number]


class SuppliedLists:
    """For paths to one anchor, at one moment. `bag`: where those who signed lists may be found."""

    def __init__(self, lists: Sequence[Crl], bag: Bag, anchor: Anchor, moment: Moment) -> None:
        self._by_issuer: dict[str, list[Crl]] = {}
        for one in lists:
            if one.usable:
                self._by_issuer.setdefault(one.issuer, []).append(one)
        for each in self._by_issuer.values():
            each.sort(key=lambda crl: crl.this_update, reverse=True)
        self._bag, self._moment = bag, moment
        self._trust, self._anchor = TrustSnapshot((anchor,)), [read(anchor.certificate)]
        self._known: dict[bytes, Answer] = {}
        self._asked_now: list[bytes] = []
        self._checks = 0

    def of(self, path: Sequence[Certificate]) -> list[Answer]:
        """Of each certificate below the anchor, the signer's first. Raises TooManyLists."""
        keys = working_keys(path)
        return [self._of(_Place(path, keys, number)) for number in range(len(path) - 1)]

    def _of(self, place: _Place) -> Answer:
        one = place.certificate
        if one.der in self._known:
            return self._known[one.der]
        self._asked_now.append(one.der)
        try:
            points = points_of(one)
            answer = self._revoked(place, points) or self._whole(place, points)
        except MALFORMED:
            answer = Answer(Status.UNKNOWN, why=Why.MALFORMED)
        finally:
            self._asked_now.pop()
        self._known[one.der] = answer
        return answer

    def _revoked(self, place: _Place, points: Sequence[Point]) -> Answer | None:
        for issuer in {name for point in points for name in point.issuers or (place.certificate.issuer,)}:
            for crl in self._lists(issuer):
                if crl.scope.attributes_only:
                    continue
                said = self._said(crl, place.certificate)
                lasting = said.status is Status.REVOKED and said.reason != "remove_from_crl"
                if lasting and self._believed(crl, place, points):
                    return said
        return None

    @staticmethod
    def _said(crl: Crl, one: Certificate) -> Answer:
        """What cannot be read tells nothing."""
        try:
            return crl.says(crl.entry(one))
        except NotACrl:
            return Answer(Status.UNKNOWN, why=Why.MALFORMED)

    def _whole(self, place: _Place, points: Sequence[Point]) -> Answer:
        """6.3.3: lists until all reasons are spoken of. What is on hold is so by the newest list of its part."""
        known: set[str] = set()
        parts: set[tuple[str, bytes]] = set()
        nearest, good = Answer(Status.UNKNOWN, why=Why.NOT_FOR_THIS), None
        for point, crl in self._asked(place, points):
            part = (crl.issuer, crl.scope_bytes)
            if part in parts:
                continue
            answer = self._counts(crl, place, points)
            if answer.status is Status.UNKNOWN:
                nearest = max(nearest, answer, key=lambda each: list(Why).index(each.why or Why.NO_ADDRESS))
                continue
            parts.add(part)
            if answer.status is not Status.GOOD:
                return answer
            known |= point.reasons & crl.scope.reasons
            good = answer if good is None or answer.weakness else good
            if known >= ALL_REASONS:
                return good
        return nearest if good is None else Answer(Status.UNKNOWN, why=Why.NOT_FOR_THIS)

    def _asked(self, place: _Place, points: Sequence[Point]) -> Iterator[tuple[Point, Crl]]:
        one = place.certificate
        for point in points:
            for issuer in point.issuers or (one.issuer,):
                for crl in self._lists(issuer):
                    if crl.base_number is None and in_scope(crl.scope, point, one):
                        yield point, crl

    def _counts(self, crl: Crl, place: _Place, points: Sequence[Point]) -> Answer:
        """What a complete list says, with its newest delta, if it counts at the moment."""
        one = place.certificate
        answer = self._judged(crl.says(None), one)
        if answer.status is Status.UNKNOWN:
            return answer
        if not self._believed(crl, place, points):
            return replace(answer, status=Status.UNKNOWN, why=Why.BAD_SIGNATURE)
        try:
            entry = crl.entry(one)
            for delta in self._deltas(crl, place, points):
                changed = delta.entry(one)
                if changed is not None:
                    entry = None if changed[1] == "remove_from_crl" else changed
        except NotACrl:
            return Answer(Status.UNKNOWN, why=Why.MALFORMED)
        return crl.says(entry)

    def _deltas(self, crl: Crl, place: _Place, points: Sequence[Point]) -> list[Crl]:
        """5.2.4: the newest that fits this very list, if any."""
        fitting = [
            delta
            for delta in self._lists(crl.issuer)
            if delta.base_number is not None
            and crl.number is not None
            and delta.number is not None
            and delta.base_number <= crl.number < delta.number
            and (delta.scope_bytes, delta.key_id) == (crl.scope_bytes, crl.key_id)
            and self._judged(delta.says(None), place.certificate).status is Status.GOOD
            and self._believed(delta, place, points)
        ]
        return sorted(fitting, key=lambda delta: delta.number or 0)[-1:]

    def _judged(self, answer: Answer, one: Certificate) -> Answer:
        max_age = WHILE_IT_SAYS if answer.next_update else self._moment.max_age
        return judged(answer, one, replace(self._moment, max_age=max_age))

    def _lists(self, issuer: str) -> Iterator[Crl]:
        for crl in self._by_issuer.get(issuer, ()):
            self._checks += 1
            if self._checks > MAX_CHECKS:
                raise TooManyLists
            yield crl

    # -- whose word it is

    def _believed(self, crl: Crl, place: _Place, points: Sequence[Point]) -> bool:
        """6.3.3 (f), (g)."""
        above = place.path[place.number + 1]
        if crl.issuer == above.subject and _may_sign(above) and crl.signed_by(place.keys[place.number + 1]):
            return True
        return any(
            self._stands(signer, place, points)
            for signer in (*self._bag.named(crl.issuer, crl.signed_by), *self._anchors(crl))
            if signer.der != above.der and _may_sign(signer)
        )

    def _anchors(self, crl: Crl) -> list[Certificate]:
        return [one for one in self._anchor if one.subject == crl.issuer and crl.signed_by(one.key)]

    def _stands(self, signer: Certificate, place: _Place, points: Sequence[Point]) -> bool:
        if signer.der == place.certificate.der:
            # Who signs the list in which it would stand itself tells of itself only where its issuer wanted that.
            return any(signer.subject in point.issuers for point in points)
        if signer.der in self._asked_now:
            return False
        others, _ = self._bag.above(signer, {one.subject for one in self._anchor})
        try:
            found = find_path(signer.der, others, self._trust, self._moment.at)
        except NoPath:
            return False
        path = [read(one) for one in found]
        return all(answer.status is Status.GOOD for answer in self.of(path))


def _may_sign(one: Certificate) -> bool:
    return one.usage is None or "crl_sign" in one.usage
