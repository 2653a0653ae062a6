"""The one table of what production will not have: each reason by itself, and none where all is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import ground
from hsm.key import Holder, HolderKind, KeyDescription, Purpose
from production import CHECKS, SOFTHSM_ACCEPTED, Facts, refusals
from settings import Settings
from signing.timestamping.clock import independent
from storage.schema import SERVICE
from tests.rooms.hsm.tokens import AGENCY, CHAIRMAN
from tests.rooms.web.rooms import certificate_for

PRIVATE = ec.generate_private_key(ec.SECP256R1())


def settings(home: Path, **more: Any) -> Settings:
    """As production wants them."""
    chosen: dict[str, Any] = {
        "home": home, "mode": "production", "public_url": "https://kyso.anphuoc.gov.vn",
        "database_url": "postgresql://antin@db/antin", "s3_endpoint": "https://s3.anphuoc.gov.vn",
        "token_folder": home / "elsewhere", "checkpoint_folder": home / "far", "tsa_policy_oid": "1.3.6.1.4.1.4146.1",
        "clock_sources": ["a.vn", "b.vn"], "trusted_proxies": ["10.1.2.3", "10.0.0.0/8"],
        "revocation_networks": ["10.1.0.0/16"],
    } | more  # fmt: skip
    return Settings(**chosen)


def key(name: str, subject: str = "UBND xã An Phước", **more: Any) -> KeyDescription:
    chosen: dict[str, Any] = {
        "agency": AGENCY, "purpose": Purpose.SEAL, "holder": Holder(HolderKind.AGENCY, AGENCY), "granted": frozenset(),
        "certificate": certificate_for(PRIVATE, subject), "chain": (), "mechanisms": (),
    } | more  # fmt: skip
    return KeyDescription(name=name, **chosen)


STAMPS: dict[str, Any] = {"purpose": Purpose.TIME_STAMPING, "holder": Holder(HolderKind.SERVICE, SERVICE)}


@pytest.fixture
def right(tmp_path: Path) -> Facts:
    tmp_path.chmod(0o700)
    keys = [key("con-dau"), key("tsa", **STAMPS), key("audit", purpose=Purpose.AUDIT, certificate=b"")]
    return Facts(settings(tmp_path), user=1000, keys=keys, token_user=1001, time_sources=2)


def told(facts: Facts) -> list[tuple[str, str, bool]]:
    return [(one.code, one.detail, one.stops) for one in refusals(facts)]


def test_where_all_is_right_nothing_is_said(right: Facts) -> None:
    assert told(right) == []


def _secret(home: Path, name: str, mode: int) -> Path:
    file = home / name
    file.write_bytes(bytes(32))
    file.chmod(mode)
    return file


def _opened(home: Path) -> dict[str, Any]:
    home.chmod(0o755)
    return {}


def _given(**more: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda home: {"settings": settings(home, **more)}


def _folder(home: Path, *names: str) -> dict[str, Any]:
    for name in names:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(b"")
    return {}


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str, bool]] = {
    # of the token
    "softhsm-in-production": (lambda _: {"softhsm": True}, "{home}/elsewhere", True),
    "softhsm-in-production while the token is away": (
        lambda home: _folder(home, "elsewhere/softhsm2.conf"), "{home}/elsewhere", True
    ),
    "token-same-user": (lambda _: {"token_user": 1000}, "uid 1000", True),
    "token-files-readable": (lambda home: _folder(home, "elsewhere/pin"), "{home}/elsewhere/pin", True),
    "persons-key-in-production": (
        lambda _: {"keys": [key("binh", holder=Holder(HolderKind.PERSON, CHAIRMAN))]}, "binh", True
    ),
    # of trust
    "demonstration-anchor": (lambda _: {"demonstration": ["ab12"]}, "ab12", True),
    "demonstration-key": (lambda _: {"keys": [key("con-dau", "DEMO UBND xã An Phước")]}, "con-dau", True),
    "demonstration-key of a demonstration issuer": (
        lambda _: {"keys": [key("tsa", chain=(certificate_for(PRIVATE, "DEMO Issuing CA"),), **STAMPS)]}, "tsa", True
    ),
    "demonstration-authority": (
        lambda home: _folder(home, "demonstration/root.cer"), "{home}/demonstration", True
    ),
    # of the clock
    "no-sources": (lambda _: {"time_sources": 1}, "a.vn, b.vn", True),
    # of the database and the store
    "sqlite-in-production": (_given(database_url="sqlite:////x/antin.sqlite"), "sqlite:////x/antin.sqlite", False),
    "checkpoints-at-home": (_given(checkpoint_folder=None), "{home}/checkpoints", False),
    "folder-in-production": (_given(s3_endpoint=""), "{home}/store", False),
    "store-in-clear": (_given(s3_endpoint="http://s3.vn:9000"), "ANTIN_S3_ENDPOINT=http://s3.vn:9000", False),
    # of the settings
    "public-url-without-tls": (_given(public_url="http://kyso.vn/"), "http://kyso.vn", True),
    "weak-setting: an address of nobody": (
        _given(public_url="https://localhost"), "ANTIN_PUBLIC_URL=https://localhost", True
    ),
    "weak-setting: this host's own address": (
        _given(public_url="https://[::1]:8000"), "ANTIN_PUBLIC_URL=https://[::1]:8000", True
    ),
    "weak-setting: everybody is a proxy": (
        _given(trusted_proxies=["10.0.0.1", "0.0.0.0/0"]), "ANTIN_TRUSTED_PROXIES=0.0.0.0/0", True
    ),
    "weak-setting: a proxy that cannot be read": (_given(trusted_proxies=["*"]), "ANTIN_TRUSTED_PROXIES=*", True),
    "weak-setting: every network is ours": (
        _given(revocation_networks=["::/0"]), "ANTIN_REVOCATION_NETWORKS=::/0", True
    ),
    "weak-setting: a policy that nobody was given": (
        _given(tsa_policy_oid="1.3.6.1.4.1.99999.1.1"), "ANTIN_TSA_POLICY_OID=1.3.6.1.4.1.99999.1.1", True
    ),
    "open-to-others: the seal": (lambda home: {"x": _secret(home, "seal.key", 0o640)}, "{home}/seal.key (0640)", True),
    "open-to-others: a password": (
        lambda home: _given(database_password_file=_secret(home, "db", 0o604))(home), "{home}/db (0604)", True
    ),
    "open-to-others: what a group may write": (
        lambda home: _given(s3_credentials_file=_secret(home, "s3", 0o660))(home), "{home}/s3 (0660)", True
    ),
    "open-to-others: the home": (_opened, "{home} (0755)", True),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_each_reason_is_named(right: Facts, tmp_path: Path, case: str) -> None:
    make, detail, stops = WRONG[case]
    changes = {name: value for name, value in make(tmp_path).items() if name != "x"}
    code = case.split(":")[0].split(" ")[0]
    assert told(replace(right, **changes)) == [(code, detail.format(home=tmp_path), stops)]


def test_a_credential_of_systemd_is_no_open_file(right: Facts, tmp_path: Path) -> None:
    """It is given to the service by an ACL, whose mask shows as the group's bits."""
    file = _secret(tmp_path, "credential", 0o440)
    assert told(replace(right, settings=settings(tmp_path, database_password_file=file))) == []


def test_softhsm_is_taken_where_somebody_says_so_in_plain_words(right: Facts, tmp_path: Path) -> None:
    for said, codes in ((SOFTHSM_ACCEPTED, []), ("yes", ["softhsm-in-production"])):
        facts = replace(right, softhsm=True, settings=settings(tmp_path, softhsm_in_production=said))
        assert [code for code, _, _ in told(facts)] == codes


def test_several_processes_on_one_sqlite(
    right: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/antin.sqlite"
    facts = replace(right, settings=settings(tmp_path, database_url=url), sole=False)
    warned = ("sqlite-in-production", url, False)
    assert told(facts) == [("sqlite-several-processes", url, True), warned]
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    assert told(replace(facts, sole=True)) == [
        ("sqlite-several-processes", "WEB_CONCURRENCY=4", True), warned
    ]  # fmt: skip
    assert told(replace(right, sole=False)) == [], "PostgreSQL is for several"


def test_who_else_serves_from_the_same_sqlite_is_seen_from_another_home(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/facts/antin.sqlite"
    one, other = (settings(tmp_path / name, database_url=url) for name in ("one", "other"))
    with ground.sole(one, serving=True) as first, ground.sole(other, serving=True) as second:
        assert (first, second) == (True, False)
        with ground.sole(other, serving=False) as beside:
            assert beside, "a command beside the service serves nobody"
    with ground.sole(other, serving=True) as after:
        assert after


def test_every_reason_is_said_at_once(tmp_path: Path) -> None:
    """Nothing is as it should be: every line of the table speaks."""
    _folder(tmp_path, "token/softhsm2.conf", "token/pin", "demonstration/root.cer")
    tmp_path.chmod(0o777)
    worst = Facts(
        settings(
            tmp_path, token_folder=None, database_url="", public_url="http://x.vn", checkpoint_folder=None,
            s3_endpoint="http://s3.vn", trusted_proxies=["*"],
        ),
        user=0, token_user=0, demonstration=["ab"], sole=False,
        keys=[key("binh", "DEMO Bình", holder=Holder(HolderKind.PERSON, CHAIRMAN))],
    )  # fmt: skip
    assert {code for code, _, _ in told(worst)} == {one.code for one in CHECKS} - {"folder-in-production"}


def test_the_operator_can_read_of_each_before() -> None:
    told = (Path(ground.__file__).parent / "docs" / "operations.md").read_text()
    for one in CHECKS:
        assert f"`{one.code}`" in told, one.code


# -- how many machines tell the time


@pytest.mark.parametrize(
    ("sources", "machines"),
    [
        ([], 0),
        (["192.0.2.1", "192.0.2.2:123"], 2),
        (["192.0.2.1", "192.0.2.1:123", "192.0.2.1:124"], 1),
        (["127.0.0.1", "127.0.0.2:1123", "[::1]:123", "localhost"], 1),
        (["127.0.0.1", "192.0.2.1"], 2),
        (["time.invalid", "TIME.invalid.", "other.invalid"], 2),
        (["", ":123", "192.0.2.1:x"], 0),
    ],
)
async def test_time_sources_are_counted_by_machine(sources: list[str], machines: int) -> None:
    assert await independent(sources) == machines
