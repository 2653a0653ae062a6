"""PKCS#11 URIs (RFC 7512)."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm.pkcs11_uri import NotPkcs11Uri, Pkcs11Uri


def test_reads_the_parts_of_an_example() -> None:
    uri = Pkcs11Uri.parse(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;serial=ab12;object=my-key;type=private;id=%69%00%FF"
        "?module-path=/usr/lib/p11.so"
    )
    assert uri.token == "The Software PKCS#11 Softtoken"
    assert (uri.serial, uri.object, uri.type, uri.id) == ("ab12", "my-key", "private", b"i\x00\xff")
    assert uri.module_path == Path("/usr/lib/p11.so")
    assert Pkcs11Uri.parse("pkcs11:token=A&B").token == "A&B"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://a",
        "pkcs11:token",
        "pkcs11:token=a;token=b",
        "pkcs11:token=a b",
        "pkcs11:token=%G0",
        "pkcs11:token=%",
        "pkcs11:token=%FF",
        "pkcs11:token=a%00b",
        "pkcs11:x-vendor=1",
        "pkcs11:type=secret",
        "pkcs11:?pin-value=1234",
        "pkcs11:?pin-value=12%2534",
        "pkcs11:?pin-source=file:/etc/pin",
        "pkcs11:slot-id=1",
        "pkcs11:token=a;",
        "pkcs11:token=a?module-path=/a.so?module-path=/b.so&x=1",
        "pkcs11:?module-path=lib.so",
        "pkcs11:token=" + "a" * 5000,
        "pkcs11:token=Ấn",
    ],
)
def test_refuses_what_it_does_not_understand(text: str) -> None:
    with pytest.raises(NotPkcs11Uri):
        Pkcs11Uri.parse(text)


WORDS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@given(WORDS, WORDS, st.none() | st.binary(max_size=40))
def test_what_is_written_is_read_again(token: str | None, label: str | None, key_id: bytes | None) -> None:
    uri = Pkcs11Uri(token=token, object=label, id=key_id, module_path=Path("/usr/lib/a b&c?.so"))
    assert Pkcs11Uri.parse(str(uri)) == uri


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(rest: str) -> None:
    with contextlib.suppress(NotPkcs11Uri):
        Pkcs11Uri.parse("pkcs11:" + rest)
