"""The forms in which a report is handed out: this file writes each, signed where the service has a key for reports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from catalogue import N_, say
from documents.report_signing import NotSigned, ReportSigning
from documents.rooms import Rooms
from signing import cades
from signing.verification.advice import told
from signing.verification.etsi_report import to_xml
from signing.verification.printed_report import to_pdf
from signing.verification.report import Report

XML, PAGE, SIGNED_XML = "application/xml", "application/pdf", cades.ASIC_S
NAMES = {
    PAGE: "bao-cao-kiem-tra.pdf",
    XML: "bao-cao-kiem-tra.xml",
    SIGNED_XML: "bao-cao-kiem-tra.asics",
}
WORDS = {
    PAGE: N_("Tải báo cáo một trang để lưu hồ sơ (PDF)"),
    XML: N_("Tải báo cáo ETSI TS 119 102-2 (XML)"),
    SIGNED_XML: N_("Tải báo cáo XML kèm chữ ký của hệ thống (ASiC-S)"),
}


@dataclass(frozen=True)
class Written:
    media_type: str
    content: bytes


async def signs_reports(rooms: Rooms) -> bool:
    try:
        await ReportSigning(rooms.keys, rooms.clock).key()
    except NotSigned:
        return False
    return True


async def write_report(rooms: Rooms, report: Report, media_type: str, language: str) -> Written:
    """The printed page is Vietnamese always, as the circular asks. Raises NotSigned where a signature was asked for
    and cannot be had; a page without one says the same."""
    signing = ReportSigning(rooms.keys, rooms.clock)
    if media_type == PAGE:
        page = await asyncio.to_thread(
            to_pdf, report, say=lambda sentence, **data: say(sentence, "vi", **data)
        )
        try:
            return Written(PAGE, await signing.within(await signing.key(), page))
        except NotSigned:
            return Written(PAGE, page)
    if media_type == XML:
        return Written(XML, _xml(report, language))
    key = await signing.key()
    xml = _xml(report, language, key.description.certificate)
    signature = await signing.detached(key, xml)
    return Written(SIGNED_XML, cades.container(NAMES[XML], xml, signature))


def _xml(report: Report, language: str, validator: bytes | None = None) -> bytes:
    return to_xml(
        report, say=lambda one: told(one, lambda s, **data: say(s, language, **data)), validator=validator
    )
