"""Verifying over HTTP: many files, codes, and every form of the report, signed where there is a key for reports."""

from __future__ import annotations

import io
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from documents.document import Disclosure
from hsm.key import Holder, HolderKind, Purpose
from hsm.unsafe_memory_vault import UnsafeMemoryVault
from signing.trust.anchors import Anchor
from storage.schema import SERVICE
from tests import strangers
from tests.papers import letter
from tests.rooms.web.conftest import Api
from tests.rooms.web.rooms import certificate_for
from tests.rooms.web.test_api_signatures import WISH
from tests.strangers import openssl_verify

PLACE = "/api/v1/verifications"
PDF = {"Content-Type": "application/pdf"}
SIVA = "application/vnd.siva.v3+json"
ASIC = "application/vnd.etsi.asic-s+zip"


async def signed(api: Api, disclosure: Disclosure = Disclosure.RESTRICTED) -> tuple[dict[str, Any], bytes]:
    answer = await api.http.post(
        f"/api/v1/documents?disclosure={disclosure.value}", content=letter(), headers=PDF
    )
    document = answer.json()
    address = f"/api/v1/documents/{document['id']}"
    answer = await api.http.post(f"{address}/signatures", json=WISH)
    assert answer.status_code == 201, answer.text
    return document, (await api.http.get(f"{address}/content")).content


async def test_many_files_have_a_report_each(api: Api) -> None:
    _, content = await signed(api)
    files = [("file", (name, data)) for name, data in (
        ("a.pdf", content), ("rỗng.pdf", b""), ("b.pdf", letter()), ("c.pdf", b"nothing"), ("a.pdf", content),
    )]  # fmt: skip
    before = api.left_behind()
    answer = await api.http.post(PLACE, files=files)
    assert answer.status_code == 200, answer.text
    reports = answer.json()["verifications"]
    assert [(one["file"], one["verdict"]) for one in reports] == [
        ("a.pdf", "VALID"), ("rỗng.pdf", "UNREADABLE"), ("b.pdf", "NO_SIGNATURE"), ("c.pdf", "UNREADABLE"), ("a.pdf", "VALID"),
    ]  # fmt: skip
    assert [one["code"] for one in reports[1]["findings"]] == ["EMPTY_FILE"]
    assert {"text", "means", "todo"} <= reports[1]["findings"][0].keys()
    assert reports[0] | {"validation_time": ""} == reports[4] | {"validation_time": ""}
    assert (await api.http.post(PLACE, files=files[:1])).json()["verdict"] == "VALID"
    assert (await api.http.post(PLACE, files=files[1:2])).status_code == 422
    assert api.left_behind() == before


async def test_more_files_than_are_taken_or_something_behind_them(api: Api) -> None:
    many = [("file", (f"{at}.pdf", b"x")) for at in range(101)]
    assert (await api.http.post(PLACE, files=many)).json()["code"] == "too-many-fields"
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    file = 'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\nx\r\n--b'
    field = 'Content-Disposition: form-data; name="password"\r\n\r\nx\r\n--b--\r\n'
    late = await api.http.post(PLACE, content=f"--b\r\n{file}\r\n{field}".encode(), headers=boundary)
    assert late.json()["code"] == "bad-form"
    cut = await api.http.post(PLACE, content=f"--b\r\n{file}\r\n{file}".encode(), headers=boundary)
    assert cut.json()["code"] == "bad-form"


async def test_many_files_are_verified_once(api: Api) -> None:
    key = {"Idempotency-Key": "many"}
    files = [("file", ("a.pdf", letter())), ("file", ("b.pdf", letter(pages=2)))]
    first = await api.http.post(PLACE, files=files, headers=key)
    again = await api.http.post(PLACE, files=files, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    other = [files[0], ("file", ("c.pdf", letter(pages=2)))]
    assert (await api.http.post(PLACE, files=other, headers=key)).status_code == 422
    accept = key | {"Accept": SIVA}
    assert (await api.http.post(PLACE, files=files, headers=accept)).status_code == 422


@pytest.mark.parametrize("disclosure", list(Disclosure))
async def test_a_code_is_answered_by_its_disclosure(api: Api, disclosure: Disclosure) -> None:
    document, _ = await signed(api, disclosure)
    for typed in (document["code"], document["code"].replace("-", " ").lower()):
        answer = await api.http.post(PLACE, json={"code": typed}, headers=api.as_other())
        if disclosure is Disclosure.NONE:
            assert (answer.status_code, answer.json()["code"]) == (404, "no-such-document")
            continue
        report = answer.json()
        assert report["verdict"] == "VALID"
        assert report["issued"]["disclosure"] == disclosure.value
        assert len(report["signatures"]) == (disclosure is Disclosure.PUBLIC)
        if disclosure is Disclosure.RESTRICTED:
            assert "UBND xã An Phước" not in answer.text.replace(report["issued"]["issuer"], "")
            masked = await api.http.post(
                PLACE, json={"code": typed}, headers=api.as_other() | {"Accept": SIVA}
            )
            assert masked.json()["signatures"] == []
    mine = await api.http.post(PLACE, json={"code": document["code"]})
    assert mine.status_code == (404 if disclosure is Disclosure.NONE else 200)
    if mine.status_code == 200:
        assert len(mine.json()["signatures"]) == 1


async def test_an_unknown_code_and_a_question_that_is_none(api: Api) -> None:
    for code in ("0000-0000-0000-0000-0000", "nothing", ""):
        answer = await api.http.post(PLACE, json={"code": code})
        assert (answer.status_code, answer.json()["code"]) == (404, "no-such-document")
    for wrong in (
        {},
        {"code": "x", "document": "0198c2a4-7b1e-7c3a-9f52-3f1f0c9a7d11"},
        {"code": "x", "rendition": 1},
    ):
        assert (await api.http.post(PLACE, json=wrong)).status_code == 422


async def test_the_shape_of_siva(api: Api) -> None:
    _, content = await signed(api)
    answer = await api.http.post(PLACE, content=content, headers=PDF | {"Accept": f"text/html, {SIVA};q=0.9"})
    assert answer.headers["content-type"].startswith(SIVA)
    told = answer.json()["validationReport"]["validationConclusion"]
    assert (told["signaturesCount"], told["validSignaturesCount"], told["verdict"]) == (1, 1, "VALID")
    one = told["signatures"][0]
    assert (one["indication"], one["subIndication"], one["signedBy"]) == (
        "TOTAL-PASSED",
        "",
        "UBND xã An Phước",
    )
    assert one["signatureFormat"] == "PAdES_BASELINE_B"
    nothing = await api.http.post(PLACE, content=letter(), headers=PDF | {"Accept": SIVA})
    assert nothing.json()["validationReport"]["validationConclusion"]["signaturesCount"] == 0


async def test_xml_and_the_page_without_a_key_for_reports(api: Api) -> None:
    _, content = await signed(api)
    xml = await api.http.post(PLACE, content=content, headers=PDF | {"Accept": "application/xml"})
    assert xml.headers["content-type"].startswith("application/xml")
    assert b"total-passed" in xml.content
    page = await api.http.post(PLACE, content=content, headers=PDF | {"Accept": "application/pdf"})
    assert page.content.startswith(b"%PDF-")
    assert b"/ByteRange" not in page.content
    refused = await api.http.post(PLACE, content=content, headers=PDF | {"Accept": ASIC})
    assert (refused.status_code, refused.json()["code"]) == (406, "no-report-key")


async def test_reports_are_signed_by_their_own_key(api: Api, tmp_path: Path) -> None:
    vault = api.rooms.keys
    assert isinstance(vault, UnsafeMemoryVault)
    seal = (await vault.open("con-dau")).description
    certificate = certificate_for(api.people.private, "Báo cáo")
    vault.add(
        replace(
            seal,
            name="bao-cao",
            purpose=Purpose.REPORTS,
            certificate=certificate,
            agency=SERVICE,
            holder=Holder(HolderKind.SERVICE, SERVICE),
        ),
        api.people.private,
    )
    await api.rooms.trusted.add(Anchor(certificate), confirmed_by="test")
    _, content = await signed(api)

    page = await api.http.post(PLACE, content=content, headers=PDF | {"Accept": "application/pdf"})
    judged = (await api.http.post(PLACE, content=page.content, headers=PDF)).json()
    assert judged["verdict"] == "VALID", judged
    assert [one["signer"] for one in judged["signatures"]] == ["CN=Báo cáo"]
    (tmp_path / "page.pdf").write_bytes(page.content)
    assert [(one.validation, one.whole) for one in strangers.pdfsig(tmp_path / "page.pdf")] == [
        ("Signature is Valid.", True)
    ]
    with pikepdf.open(io.BytesIO(page.content)) as pdf:
        assert len(pdf.pages) == 1

    packed = await api.http.post(PLACE, content=content, headers=PDF | {"Accept": ASIC})
    assert packed.headers["content-type"] == ASIC
    assert packed.content[30:38] == b"mimetype"
    assert packed.content[38 : 38 + len(ASIC)] == ASIC.encode()
    with zipfile.ZipFile(io.BytesIO(packed.content)) as container:
        assert container.namelist() == ["mimetype", "bao-cao-kiem-tra.xml", "META-INF/signature.p7s"]
        xml, signature = (container.read(name) for name in container.namelist()[1:])
    assert openssl_verify(tmp_path, signature, xml)
    assert not openssl_verify(tmp_path, signature, xml + b" ")


async def test_a_signature_around_its_content(api: Api, tmp_path: Path) -> None:
    """No PDF: the same engine, the same shapes, and the public page."""
    plain = api.people.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(plain)
    own = x509.load_der_x509_certificate(certificate_for(api.people.private, "UBND xã An Phước"))
    (tmp_path / "own.pem").write_bytes(own.public_bytes(Encoding.PEM))
    (tmp_path / "paper.txt").write_text("Kính gửi: Ủy ban nhân dân tỉnh\n")
    made = subprocess.run(
        ["openssl", "cms", "-sign", "-cades", "-binary", "-nodetach", "-in", "paper.txt", "-signer", "own.pem",
         "-inkey", "key.pem", "-outform", "DER"], cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    for accept, kind in (
        ("application/json", "json"),
        (SIVA, "json"),
        ("application/xml", "xml"),
        ("application/pdf", "pdf"),
    ):
        answer = await api.http.post(
            f"{PLACE}?name=a.p7m",
            content=made.stdout,
            headers={"Accept": accept, "Content-Type": "application/octet-stream"},
        )
        assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True), answer.text
        if accept == "application/json":
            told = answer.json()
            assert (told["format"], told["signatures"][0]["coverage"]) == ("CAdES", "WHOLE_DOCUMENT")
            assert told["signatures"][0]["signed_objects"][0]["name"] == "content"
        if accept == SIVA:
            (shaped,) = answer.json()["validationReport"]["validationConclusion"]["signatures"]
            assert shaped["signatureFormat"] == "CAdES_BASELINE_B"
    page = await api.http.post("/v/tep", files={"file": ("a.p7m", made.stdout)}, follow_redirects=True)
    assert page.status_code == 200, page.text
    assert "CAdES" in told["format"] and "/trang/1.png" not in page.text  # nothing could be drawn
