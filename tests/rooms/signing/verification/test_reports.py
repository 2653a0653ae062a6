"""Reports in the forms of others say what our own says: XML valid by ETSI's schema, one printed page, whatever a file
holds."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from functools import cache

import pypdfium2
import pytest
from lxml import etree

from signing.profile import Level
from signing.verification.advice import told
from signing.verification.etsi_report import OURS, VR, to_xml
from signing.verification.printed_report import to_pdf
from signing.verification.report import Finding, Indication, Report, Severity, Verdict
from signing.verification.seven_items import seven_items
from tests.dss.__main__ import jars
from tests.papers import letter
from tests.rooms.signing.verification.judging_world import World

# Where a schema says that another lies, and which of the jars of EU DSS holds it.
SCHEMAS = {
    "TS119102-2-v141.xsd": "specs-validation-report",
    "XAdES.xsd": "specs-xades",
    "ts_119612v020201_201601xsd.xsd": "specs-trusted-list-v211",
    "xmldsig-core-schema.xsd": "specs-xmldsig",
    "xml.xsd": "specs-xmldsig",
}
OTHERS = {"ts_119612v020201_201601xsd.xsd": "ts_119612v020101_xsd.xsd"}  # of the same namespace


def _schema_text(name: str) -> bytes:
    (jar,) = jars().glob(f"{SCHEMAS[name]}-[0-9]*.jar")
    with zipfile.ZipFile(jar) as opened:
        return opened.read(f"xsd/{OTHERS.get(name, name)}")


class _FromJars(etree.Resolver):  # type: ignore[misc]
    def resolve(self, url: str, _public: str, context: object) -> object:
        name = url.rpartition("/")[2]
        return self.resolve_string(_schema_text(name), context, base_url=url) if name in SCHEMAS else None


@cache
def schema() -> etree.XMLSchema:
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False)
    parser.resolvers.add(_FromJars())
    return etree.XMLSchema(etree.parse(io.BytesIO(_schema_text("TS119102-2-v141.xsd")), parser))


def plain(sentence: str, **data: object) -> str:
    return sentence % data if data else sentence


def written(report: Report) -> etree._Element:
    xml = to_xml(report, say=lambda one: told(one, plain), validator=b"\x30\x00")
    read = etree.fromstring(xml)
    schema().assertValid(read)
    return read


def said(of: etree._Element, name: str) -> list[str]:
    return [one.text.rpartition(":")[2] for one in of.iter(f"{{{VR}}}{name}")]


def verdict(of: etree._Element) -> list[str]:
    return [one.get("verdict") for one in of.iter(f"{{{OURS}}}Document")]


@pytest.mark.parametrize("level", list(Level))
def test_xml_of_every_level(world: World, level: Level) -> None:
    read = written(world.judge(world.ours(letter(), level)))
    archived = ["passed"] if level is Level.B_LTA else []
    assert said(read, "MainIndication") == ["total-passed", *archived]
    assert said(read, "SignatureQualityInformation") == [level.value]
    assert set(verdict(read)) == {"VALID"}
    assert len(list(read.iter(f"{{{VR}}}SignatureTimeStamp"))) == (level >= Level.B_T)
    for one in read.iter():  # whatever is referred to is there
        for name in (one.get("VOReference") or "").split():
            assert read.xpath("//*[@id=$name]", name=name)


def test_xml_of_what_is_not_valid(world: World) -> None:
    signed = world.ours(letter())
    broken = written(world.judge(signed.replace(b"842", b"841", 1)))
    assert said(broken, "MainIndication") == ["total-failed"]
    assert said(broken, "SubIndication") == ["HASH_FAILURE"]
    assert "BYTES_CHANGED" in said(broken, "Type")
    for nothing, word in ((letter(), "NO_SIGNATURE"), (b"nothing", "UNREADABLE")):
        read = written(world.judge(nothing))
        assert said(read, "MainIndication") == [word]
        assert verdict(read) == [word]


def test_xml_holds_what_no_xml_may(world: World) -> None:
    report = world.judge(world.ours(letter()))
    odd = "\0a\x0b\ud800]]><b>&\uffff"
    chain = tuple(replace(one, subject=odd, common_name=odd) for one in report.signatures[0].chain)
    findings = (Finding("FORM_BROKEN", Severity.ERROR, {"why": odd}),)
    one = replace(report.signatures[0], field=odd, signer=odd, chain=chain, findings=findings)
    read = written(replace(report, file=odd, signatures=(one,)))
    assert {each.text for each in read.iter(f"{{{VR}}}Signer")} == {"�a��]]><b>&�"}


# -- on paper


def printed(report: Report) -> str:
    """What stands on the page, with single spaces."""
    content = to_pdf(report, say=plain)
    with pypdfium2.PdfDocument(content) as pdf:
        assert len(pdf) == 1
        page = pdf[0]
        assert page.get_size() == pytest.approx((595, 842), abs=1)
        return " ".join(page.get_textpage().get_text_range().split())


def test_the_page_holds_the_seven_items(world: World) -> None:
    report = world.judge(world.ours(letter(), Level.B_T))
    page = printed(report)
    for item in seven_items(report.signatures[0], plain):
        assert f"{item.name} {item.value}" in page
    assert len(seven_items(report.signatures[0], plain)) == 7
    assert report.sha256 in page
    assert "Kết quả: Hợp lệ" in page


def test_the_page_says_what_is_not_valid(world: World) -> None:
    broken = world.judge(world.ours(letter()).replace(b"842", b"841", 1))
    assert "Kết quả: Không hợp lệ" in printed(broken)
    assert "Nội dung trong tệp khác với nội dung đã được ký." in printed(broken)
    assert "Kết quả: Không có chữ ký" in printed(world.judge(letter()))
    assert "Kết quả: Chưa kết luận được: không đọc được tệp" in printed(world.judge(b"nothing"))


def test_it_is_one_page_whatever_was_judged(world: World) -> None:
    report = world.judge(world.ours(letter()))
    odd = "Nguyễn\0\x0b\ud800汉字" + 900 * "W" + 900 * " an"
    chain = tuple(
        replace(one, common_name=odd, title=odd, organization=odd) for one in report.signatures[0].chain
    )
    findings = tuple(Finding("FORM_BROKEN", Severity.ERROR, {"why": odd + str(at)}) for at in range(40))
    good = replace(report.signatures[0], chain=chain, findings=findings)
    failed = replace(good, indication=Indication.TOTAL_FAILED, field="x")
    page = printed(replace(report, file=odd, signatures=(*30 * (good,), failed)))
    assert "31. Chữ ký: Không hợp lệ" in page
    assert "chữ ký khác: xem báo cáo XML" in page
    assert "Nguyễn?????" in page


def test_no_integrity_is_claimed_of_what_was_not_compared(world: World) -> None:
    report = world.judge(world.ours(letter()) + b"%" + 100 * b"x")
    assert report.verdict is Verdict.INDETERMINATE
    assert "Tính toàn vẹn Không xác nhận được" in printed(report)
