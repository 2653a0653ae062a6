"""This file says whether the service lives, whether it is ready, and what it counts.

- `/healthz` asks nobody; `/readyz` asks the rooms, at most once in a while however often it is asked.
- Counts and troubles are for the operator's network: who comes from elsewhere learns only whether it is ready.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from ipaddress import ip_address

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from documents.rooms import Rooms, Trouble
from web.admission import client_address
from web.api import examples
from web.api.asking import House, porter_of
from web.api.schema import PROBLEMS, bytes_of
from web.bad_request import BadRequest, Fault
from web.metrics import MEDIA_TYPE

PARTS = ("token", "store", "database", "audit", "clock", "certificates", "authority", "jobs", "settings")
ASKED_EVERY = 2.0  # seconds
OBJECT = {"type": "object"}

router = APIRouter(tags=["service"])


class Readiness:
    """What the rooms said last."""

    def __init__(self) -> None:
        self._asking, self._until = asyncio.Lock(), 0.0
        self._troubles: Sequence[Trouble] = ()

    async def troubles(self, rooms: Rooms) -> Sequence[Trouble]:
        async with self._asking:
            if time.monotonic() >= self._until:
                self._troubles = await rooms.ready()
                self._until = time.monotonic() + ASKED_EVERY
            return self._troubles


@router.get(
    "/healthz",
    summary="Is it alive?",
    responses={200: {"description": "Yes", "content": {"application/json": {"example": {"alive": True}}}}},
)
async def alive() -> Response:
    return JSONResponse({"alive": True})


@router.get(
    "/readyz",
    summary="Can it sign?",
    responses={
        200: {"description": "Yes", "content": {"application/json": {"example": examples.READY}}},
        503: {"description": "No", "content": {"application/json": {"example": examples.NOT_READY}}},
    },
)
async def ready(request: Request, rooms: House) -> Response:
    troubles = await _readiness(request).troubles(rooms)
    well = not any(one.stops for one in troubles)
    told = [{"part": one.part, "code": one.code, "stops": one.stops} for one in troubles]
    body = {"ready": well, "troubles": told if _near(request) else []}
    return JSONResponse(body, 200 if well else 503, headers={} if well else {"Retry-After": "5"})


@router.get(
    "/metrics",
    summary="Counts, as Prometheus reads them",
    response_class=Response,
    responses={200: bytes_of("text/plain", "Text exposition format", "antin_ready 1.0")} | PROBLEMS,
)
async def metrics(request: Request, rooms: House) -> Response:
    if not _near(request):
        raise BadRequest(Fault.NOT_FOUND)
    stopped = {one.part for one in await _readiness(request).troubles(rooms) if one.stops}
    page = porter_of(request).metrics.page(await rooms.counts(), {one: one not in stopped for one in PARTS})
    return Response(page, media_type=MEDIA_TYPE)


def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


def _near(request: Request) -> bool:
    if request.scope["state"].get("unlisted_proxy"):
        return False
    try:
        address = ip_address(client_address(request.scope))
    except ValueError:
        return False
    return address.is_private or address.is_loopback
