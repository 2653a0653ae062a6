"""Certificates that were expired, revoked, on hold or for something else, with and without proof of time (V3 to V6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509

from signing.profile import Level
from signing.trust.anchors import Anchor, TrustSnapshot
from signing.verification.report import TimeSource
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World, brief, codes

YEAR = timedelta(days=365)


def crl(world: World, issuer: str = "issuing") -> bytes:
    address = {
        "issuing": x509.load_der_x509_certificate(world.pki.certificate("official")),
        "root": x509.load_der_x509_certificate(world.pki.certificate("issuing")),
    }[issuer]
    points = address.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    url = (points[0].full_name or [])[0].value
    return httpx.get(url, trust_env=False).raise_for_status().content


def test_an_expired_certificate_without_proof(world: World) -> None:
    signed = world.ours(letter(), who="short") if world.person("short", years=(2020, 2027)) else b""
    report = world.judge(signed, at=world.clock() + 2 * YEAR)
    assert brief(report) == ("INDETERMINATE", ["OUT_OF_BOUNDS_NO_POE"])
    assert "EXPIRED_NO_PROOF" in codes(report, 0)


def test_an_expired_certificate_with_a_time_stamp_and_its_material(world: World) -> None:
    world.person("short", years=(2020, 2027))
    signed = world.ours(letter(), Level.B_LT, who="short")
    with world.later(days=730):
        assert brief(world.judge(signed)) == ("VALID", ["B-LT"])


def test_a_time_stamp_without_material_is_not_enough_later(world: World) -> None:
    """What an authority says of an expired certificate proves nothing."""
    world.person("short", years=(2020, 2027))
    signed = world.ours(letter(), Level.B_T, who="short")
    with world.later(days=730):
        report = world.judge(signed)
    assert brief(report) == ("INDETERMINATE", ["TRY_LATER"])


def test_an_authority_that_expired_needs_a_later_one(world: World) -> None:
    """The time-stamp authority's certificate ends with 2049."""
    signed = world.ours(letter(), Level.B_LT)
    report = world.judge(signed, at=datetime(2052, 6, 1, tzinfo=UTC), offline=True)
    assert report.verdict == "INDETERMINATE"
    assert report.signatures[0].timestamps[0].sub_indication == "OUT_OF_BOUNDS_NO_POE"
    assert "TIMESTAMP_UNDECIDED" in codes(report, 0)


def test_revoked_after_the_proven_time(world: World) -> None:
    world.person("later")
    signed = world.ours(letter(), Level.B_T, who="later")
    bare = world.ours(letter(), who="later")
    with world.later(hours=3):
        world.pki.revoke("later", world.clock() - timedelta(hours=1))
        report = world.judge(signed)
        assert brief(report) == ("VALID", ["B-T"])
        assert "REVOKED_LATER" in codes(report, 0)
        assert brief(world.judge(bare)) == ("INDETERMINATE", ["REVOKED_NO_POE"])


def test_a_clock_that_is_moved_back_hides_no_revocation(world: World) -> None:
    world.person("hidden")
    signed = world.ours(letter(), who="hidden")
    with world.later(hours=3):
        world.pki.revoke("hidden", world.clock() - timedelta(hours=1))
        report = world.judge(signed, at=world.clock() - timedelta(hours=2))
    assert brief(report) == ("INDETERMINATE", ["REVOKED_NO_POE"])


def test_revoked_before_the_proven_time(world: World) -> None:
    world.person("before")
    world.pki.revoke("before", world.clock() - timedelta(days=2))
    report = world.judge(world.ours(letter(), Level.B_T, who="before"))
    assert brief(report) == ("INVALID", ["REVOKED"])


def test_on_hold(world: World) -> None:
    world.person("held")
    world.pki.revoke("held", world.clock() - timedelta(days=2), "certificate_hold")
    report = world.judge(world.ours(letter(), Level.B_T, who="held"))
    assert brief(report) == ("INDETERMINATE", ["TRY_LATER"])
    assert "ON_HOLD" in codes(report, 0)


def test_nobody_to_ask_about_revocation(world: World) -> None:
    signed = world.ours(letter(), Level.B_T)
    with world.pki.answering("crls"), world.pki.answering("ocsp"):
        report = world.judge(signed)
    assert brief(report) == ("INDETERMINATE", ["TRY_LATER"])
    assert "REVOCATION_UNKNOWN" in codes(report, 0)


def test_a_list_named_by_hand_counts_without_any_network(world: World) -> None:
    world.person("listed")
    signed = world.ours(letter(), who="listed")
    world.pki.revoke("listed", world.clock() - timedelta(days=1))
    lists = crl(world), crl(world, "root")
    assert brief(world.judge(signed, offline=True, crls=lists)) == ("INDETERMINATE", ["REVOKED_NO_POE"])
    good = world.ours(letter())
    assert brief(world.judge(good, offline=True, crls=lists)) == ("VALID", ["B-B"])
    # The same lists, long after they ran out.
    late = world.judge(good, offline=True, crls=lists, at=world.clock() + timedelta(days=60))
    assert brief(late) == ("INDETERMINATE", ["TRY_LATER"])


def test_a_revocation_beside_the_file_outweighs_good_news_inside(world: World) -> None:
    world.person("outweighed")
    signed = world.ours(letter(), Level.B_LT, who="outweighed")
    world.pki.revoke("outweighed", world.clock() - timedelta(days=1))
    with world.later(hours=2):
        report = world.judge(signed, offline=True, crls=(crl(world),))
    assert brief(report) == ("INVALID", ["REVOKED"])


def test_a_certificate_for_servers_only(world: World) -> None:
    world.person_for("server", "server_auth")
    signed = world.ours(letter(), who="server")
    report = world.judge(signed)
    assert brief(report) == ("INDETERMINATE", ["SIG_CONSTRAINTS_FAILURE"])
    assert "PURPOSE" in codes(report, 0)
    assert brief(world.judge(signed, policy="integrity")) == ("VALID", ["B-B"])


def test_the_purposes_of_the_governments_own_certificates(world: World) -> None:
    """TLS client, e-mail protection and smart-card logon, as from 2019 on."""
    world.person_for("vgca", "client_auth", "email_protection", "1.3.6.1.4.1.311.20.2.2")
    assert world.judge(world.ours(letter(), who="vgca")).verdict == "VALID"


def test_nobody_whom_we_believe(world: World) -> None:
    report = world.judge(world.ours(letter()), trust=TrustSnapshot(()))
    assert brief(report) == ("INDETERMINATE", ["NO_CERTIFICATE_CHAIN_FOUND"])


def test_an_anchor_that_is_no_authority_is_believed_for_itself_only(world: World) -> None:
    mine = TrustSnapshot((Anchor(world.pki.certificate("official")),))
    assert brief(world.judge(world.ours(letter()), trust=mine)) == ("VALID", ["B-B"])
    world.person("another")
    report = world.judge(world.ours(letter(), who="another"), trust=mine)
    assert brief(report) == ("INDETERMINATE", ["NO_CERTIFICATE_CHAIN_FOUND"])


def test_demonstration_trust_is_said_in_every_report(world: World) -> None:
    shown = TrustSnapshot((Anchor(world.pki.certificate("root"), demonstration=True),))
    report = world.judge(world.ours(letter()), trust=shown)
    assert report.demonstration
    assert "DEMONSTRATION_TRUST" in codes(report)


def test_a_claimed_time_is_used_only_when_asked_and_said(world: World) -> None:
    world.person("claiming", years=(2020, 2027))
    claimed = world.clock().replace(microsecond=0)
    signed = world.ours(letter(), who="claiming", claimed_time=claimed)
    at = world.clock() + 2 * YEAR
    report = world.judge(signed, at=at, source=TimeSource.CLAIMED, policy="integrity")
    assert brief(report) == ("VALID", ["B-B"])
    assert report.signatures[0].best_signature_time == claimed
    assert "CLAIMED_TIME_USED" in codes(report)
    assert brief(world.judge(signed, at=at, policy="integrity"))[0] == "INDETERMINATE"


def test_weak_algorithms_want_a_proven_time(world: World) -> None:
    signed = world.theirs(letter(), md_algorithm="sha1")
    assert brief(world.judge(signed)) == ("INDETERMINATE", ["CRYPTO_CONSTRAINTS_FAILURE_NO_POE"])
    stamped = world.theirs(letter(), md_algorithm="sha1", stamped=True)
    assert brief(world.judge(stamped))[0] == "INDETERMINATE"


def test_a_weak_algorithm_that_was_strong_then(world: World) -> None:
    world.person("old", years=(2015, 2040))
    with world.later(days=-3000):  # 2018
        signed = world.theirs(letter(), md_algorithm="sha1", who="old")
        at = world.clock() + timedelta(days=1)
    report = world.judge(signed, at=at, policy="integrity")
    assert brief(report) == ("VALID", ["B-B"])


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT])
def test_a_time_stamp_over_something_else_proves_nothing(world: World, level: Level) -> None:
    token = world.token
    world.token = lambda signature: token(signature + b"!")  # type: ignore[method-assign]
    try:
        signed = world.ours(letter(), level)
    finally:
        world.token = token  # type: ignore[method-assign]
    report = world.judge(signed)
    assert brief(report) == ("VALID", ["B-B"])
    signature = report.signatures[0]
    assert signature.level_present == level.value
    assert signature.timestamps[0].sub_indication == "HASH_FAILURE"
    assert signature.best_signature_time == report.validation_time
    assert {"TIMESTAMP_REFUSED", "LEVEL_LOWER"} <= codes(report, 0)


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT])
def test_a_time_stamp_of_an_authority_that_was_revoked_proves_nothing(world: World, level: Level) -> None:
    signed = world.ours(letter(), level)
    with world.later(days=40), world.pki.revoked("tsa", world.clock() - timedelta(days=80)):
        report = world.judge(signed)
    assert brief(report) == ("VALID", ["B-B"])
    assert report.signatures[0].timestamps[0].sub_indication == "REVOKED_NO_POE"
    assert {"TIMESTAMP_UNDECIDED", "LEVEL_LOWER"} <= codes(report, 0)
