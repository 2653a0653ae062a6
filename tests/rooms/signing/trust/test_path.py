"""Paths to somebody whom we believe, and everything that is none."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.trust.anchors import Anchor, TrustSnapshot, Use
from signing.trust.certificate import NotACertificate, read
from signing.trust.dsa import working_keys
from signing.trust.path import Flaw, NoPath, find_path
from signing.trust.signature import BadSignature
from tests.rooms.signing.trust.making import (
    CA,
    NOW,
    PERSON,
    Made,
    Terms,
    authority,
    issue,
    named,
    root,
    trusting,
    usage,
)

ROOT = root()
MIDDLE = authority("Middle", ROOT)
PERSON_BELOW = issue("An", MIDDLE)


def flaw_of(signer: Made, others: list[Made], trust: TrustSnapshot, at: datetime = NOW) -> Flaw:
    with pytest.raises(NoPath) as none:
        find_path(signer.der, [one.der for one in others], trust, at)
    return none.value.flaw


def test_from_the_signer_to_the_anchor() -> None:
    path = find_path(PERSON_BELOW.der, [MIDDLE.der], trusting(ROOT), NOW)
    assert path == (PERSON_BELOW.der, MIDDLE.der, ROOT.der)


def test_an_intermediate_that_is_believed_ends_the_path() -> None:
    assert find_path(PERSON_BELOW.der, [], trusting(MIDDLE), NOW) == (PERSON_BELOW.der, MIDDLE.der)


def test_an_anchor_that_is_no_authority_is_believed_for_itself_only() -> None:
    alone = issue("Seal")
    assert find_path(alone.der, [], trusting(alone), NOW) == (alone.der,)
    below = issue("Somebody", alone)
    assert flaw_of(below, [alone], trusting(alone)) is Flaw.NOT_AN_AUTHORITY


def test_no_issuer() -> None:
    assert flaw_of(PERSON_BELOW, [], trusting(ROOT)) is Flaw.NO_ISSUER
    assert flaw_of(PERSON_BELOW, [MIDDLE, ROOT], trusting()) is Flaw.NO_ISSUER
    assert flaw_of(PERSON_BELOW, [MIDDLE], trusting(root())) is Flaw.NO_ISSUER


def test_a_name_alone_makes_no_issuer() -> None:
    impostor = issue("Middle", None, Terms(CA, (2015, 2050)))
    assert flaw_of(PERSON_BELOW, [impostor], trusting(impostor)) is Flaw.NO_ISSUER


@pytest.mark.parametrize(
    ("year", "flaw"), [(2019, Flaw.NOT_YET_VALID), (2041, Flaw.EXPIRED), (2054, Flaw.EXPIRED)]
)
def test_valid_at_the_time(year: int, flaw: Flaw) -> None:
    at = datetime(year, 6, 1, tzinfo=UTC)
    assert flaw_of(PERSON_BELOW, [MIDDLE], trusting(ROOT), at) is flaw


def test_whose_flaw_it_is() -> None:
    old = issue("Middle", ROOT, Terms(CA, (2015, 2021)))
    person = issue("An", old)
    with pytest.raises(NoPath) as none:
        find_path(person.der, [old.der], trusting(ROOT), NOW)
    assert (none.value.flaw, none.value.subject, none.value.of_signer) == (Flaw.EXPIRED, "CN=Middle", False)


def test_an_anchor_is_believed_from_and_until() -> None:
    for anchor in (
        Anchor(ROOT.der, since=datetime(2027, 1, 1, tzinfo=UTC)),
        Anchor(ROOT.der, until=datetime(2025, 1, 1, tzinfo=UTC)),
    ):
        assert flaw_of(PERSON_BELOW, [MIDDLE], TrustSnapshot((anchor,))) is Flaw.NOT_BELIEVED_THEN


def test_an_anchor_has_its_use() -> None:
    stamps = TrustSnapshot((Anchor(ROOT.der, frozenset({Use.TIMESTAMPS})),))
    assert flaw_of(PERSON_BELOW, [MIDDLE], stamps) is Flaw.NO_ISSUER
    assert find_path(PERSON_BELOW.der, [MIDDLE.der], stamps, NOW, use=Use.TIMESTAMPS)


def test_only_authorities_issue() -> None:
    person = issue("Person", ROOT)
    assert flaw_of(issue("An", person), [person], trusting(ROOT)) is Flaw.NOT_AN_AUTHORITY
    no_signing = authority("Lists only", ROOT, extensions=(CA[0], usage("crl_sign")))
    assert flaw_of(issue("An", no_signing), [no_signing], trusting(ROOT)) is Flaw.NOT_AN_AUTHORITY


def test_no_longer_than_allowed() -> None:
    short = authority("Short", ROOT, extensions=((x509.BasicConstraints(True, 0), True), CA[1]))
    assert find_path(issue("An", short).der, [short.der], trusting(ROOT), NOW)
    deeper = authority("Deeper", short)
    assert flaw_of(issue("An", deeper), [short, deeper], trusting(ROOT)) is Flaw.TOO_LONG


def test_nothing_critical_that_nobody_judges() -> None:
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    assert flaw_of(issue("An", ROOT, Terms((*PERSON, odd))), [], trusting(ROOT)) is Flaw.UNJUDGED_EXTENSION


def test_names_that_an_authority_forbids() -> None:
    for constraints in (
        x509.NameConstraints(None, [x509.DirectoryName(named("An"))]),
        x509.NameConstraints([x509.DirectoryName(named("Binh"))], None),
        x509.NameConstraints(None, [x509.RFC822Name("example.vn")]),
    ):
        narrow = authority("Narrow", ROOT, extensions=(*CA, (constraints, True)))
        mail = (x509.SubjectAlternativeName([x509.RFC822Name("an@example.vn")]), False)
        person = issue("An", narrow, Terms((*PERSON, mail)))
        assert flaw_of(person, [narrow], trusting(ROOT)) is Flaw.FORBIDDEN


def _person_with(*names: x509.GeneralName) -> Terms:
    return Terms((*PERSON, (x509.SubjectAlternativeName(names), False)))


@pytest.mark.parametrize(
    ("permitted", "inside", "outside"),
    [
        (x509.DNSName("gov.vn"), ["gov.vn", "a.gov.vn"], ["notgov.vn", "gov.vn.com"]),
        (x509.UniformResourceIdentifier(".gov.vn"), ["http://a.gov.vn/x"], ["http://gov.vn", "urn:x", "http://1.2.3.4/"]),
        (x509.UniformResourceIdentifier("gov.vn"), ["ldap://GOV.vn:389/a"], ["http://a.gov.vn/"]),
        (x509.RFC822Name("gov.vn"), ["an@gov.vn"], ["an@a.gov.vn"]),
        (x509.RFC822Name(".gov.vn"), ["an@a.gov.vn"], ["an@gov.vn"]),
        (x509.RFC822Name("an@gov.vn"), ["an@gov.vn"], ["binh@gov.vn"]),
        (x509.IPAddress(ip_network("10.1.0.0/16")), ["10.1.2.3"], ["10.2.0.1", "::1"]),
    ],
    ids=["DNS", "hosts", "a host", "mail of a host", "mail of hosts", "one box", "addresses"],
)  # fmt: skip
def test_names_that_an_authority_permits(
    permitted: x509.GeneralName, inside: list[str], outside: list[str]
) -> None:
    narrow = authority("Narrow", ROOT, extensions=(*CA, (x509.NameConstraints([permitted], None), True)))

    def of(name: str) -> Made:
        kind = type(permitted)
        value = ip_address(name) if kind is x509.IPAddress else name
        return issue("An", narrow, _person_with(kind(value)))  # type: ignore[call-arg]

    for name in inside:
        assert find_path(of(name).der, [narrow.der], trusting(ROOT), NOW)
    for name in outside:
        assert flaw_of(of(name), [narrow], trusting(ROOT)) is Flaw.FORBIDDEN


def test_constraints_that_are_none_refuse() -> None:
    for base in (bytes.fromhex("0a000000ff00ff00"), b"\x0a\x00\x00\x00\xff"):
        tree = b"\x87" + bytes([len(base)]) + base
        value = b"\xa0" + bytes([len(tree) + 2]) + b"\x30" + bytes([len(tree)]) + tree
        odd = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.5.29.30"), b"\x30" + bytes([len(value)]) + value
        )
        narrow = authority("Narrow", ROOT, extensions=(*CA, (odd, True)))
        person = issue("An", narrow, _person_with(x509.IPAddress(ip_address("10.0.0.1"))))
        assert flaw_of(person, [narrow], trusting(ROOT)) is Flaw.FORBIDDEN
    starred = x509.NameConstraints(None, [x509.DNSName("secret.gov.vn")])
    narrow = authority("Narrow", ROOT, extensions=(*CA, (starred, True)))
    assert (
        flaw_of(issue("An", narrow, _person_with(x509.DNSName("*.gov.vn"))), [narrow], trusting(ROOT))
        is Flaw.FORBIDDEN
    )


def test_a_policy_that_an_authority_asks_for() -> None:
    wanted = x509.ObjectIdentifier("1.3.6.1.4.1.99999.7")
    policies = (x509.CertificatePolicies([x509.PolicyInformation(wanted, None)]), False)
    strict = (x509.PolicyConstraints(0, None), True)
    narrow = authority("Narrow", ROOT, extensions=(*CA, policies, strict))
    assert find_path(issue("An", narrow, Terms((*PERSON, policies))).der, [narrow.der], trusting(ROOT), NOW)
    assert flaw_of(issue("An", narrow), [narrow], trusting(ROOT)) is Flaw.FORBIDDEN


def test_another_way_is_found_when_one_has_ended() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    ended = issue("Middle", ROOT, Terms(CA, (2015, 2021), key))
    other_root = root("Other root")
    renewed = issue("Middle", other_root, Terms(CA, (2015, 2050), key))
    person = issue("An", ended)
    path = find_path(person.der, [ended.der, renewed.der], trusting(ROOT, other_root), NOW)
    assert path == (person.der, renewed.der, other_root.der)


def _mesh(names: str) -> list[Made]:
    """Authorities that all certify each other."""
    ring = [issue(name, None, Terms(CA)) for name in names]
    return ring + [
        issue(one.x509.subject.rfc4514_string()[3:], other, Terms(CA, key=one.key))
        for one in ring
        for other in ring
        if one is not other
    ]


def test_work_is_bounded_and_a_way_out_of_a_ring_is_found() -> None:
    began = time.process_time()
    mesh = _mesh("ABCDEFGHIJ")
    person = issue("An", mesh[0])
    assert flaw_of(person, mesh, trusting(ROOT)) is Flaw.NO_ISSUER
    lure = issue("J", root(), Terms(CA, key=mesh[9].key))  # of another root with this name
    assert flaw_of(person, [*mesh, lure], trusting(ROOT)) is Flaw.TOO_MUCH
    out = issue("J", ROOT, Terms(CA, key=mesh[9].key))
    path = find_path(person.der, [one.der for one in (*mesh, out)], trusting(ROOT), NOW)
    assert (len(path), path[2:]) == (4, (out.der, ROOT.der))
    assert time.process_time() - began < 5


def test_a_key_that_inherits_its_parameters_is_nobody_without_them() -> None:
    bare = bytes.fromhex("3013300906072a8648ce380401") + b"\x03\x06\x00" + b"\x02\x03\x01\x00\x01"
    inherits = replace(MIDDLE.read, key=bare, inherits=True)
    with pytest.raises(BadSignature):
        working_keys((PERSON_BELOW.read, inherits))
    with pytest.raises(BadSignature):
        working_keys((PERSON_BELOW.read, inherits, ROOT.read))


def test_rubbish_beside_the_path_changes_nothing() -> None:
    rubbish = [b"", b"\x30\x80", b"\x30" * 1000, ROOT.der[:-1], bytes(100_000)]
    others = [*rubbish, MIDDLE.der]
    assert find_path(PERSON_BELOW.der, others, trusting(ROOT), NOW)[1] == MIDDLE.der


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.binary(max_size=3))
def test_whatever_the_bytes_are(at: int, value: int, more: bytes) -> None:
    der = PERSON_BELOW.der
    at %= len(der)
    changed = der[:at] + bytes([value]) + more + der[at + 1 :]
    with contextlib.suppress(NotACertificate):
        assert read(changed).der == changed
    if changed != der:
        with pytest.raises(NoPath):
            find_path(changed, [MIDDLE.der], trusting(ROOT), NOW)
