"""Keys: this file lists the signing and seal keys that a caller may use, with their certificates (K1, K2)."""

from __future__ import annotations

from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import APIRouter, Path
from starlette.responses import Response

from documents.office import Caller
from documents.rooms import Rooms
from hsm.key import KeyDescription, NoSuchKey
from web.api import examples
from web.api.answers import API, shaped
from web.api.asking import Anyone, House
from web.api.schema import PROBLEMS, bytes_of, json_of
from web.api.shapes import KeyList, KeyShape

PEM = "application/pem-certificate-chain"  # RFC 8555 9.1

router = APIRouter(prefix=f"{API}/keys", tags=["keys"])
Name = Annotated[str, Path(max_length=200, examples=["chu-tich"])]


@router.get(
    "",
    summary="Keys that may be used",
    responses={200: json_of(KeyList, examples.KEYS, "Those of signing and seal only")} | PROBLEMS,
)
async def list_keys(caller: Anyone, rooms: House) -> Response:
    return shaped(KeyList(keys=[KeyShape.of(one) for one in await rooms.sign.usable_keys(caller)]))


@router.get(
    "/{name}/certificate",
    summary="The certificate of a key",
    response_class=Response,
    responses={200: bytes_of(PEM, "PEM", examples.CERTIFICATE)} | PROBLEMS,
)
async def certificate(name: Name, caller: Anyone, rooms: House) -> Response:
    key = await _usable(rooms, caller, name)
    return _pem(key.certificate)


@router.get(
    "/{name}/certificates",
    summary="The certificate of a key and those above it",
    response_class=Response,
    responses={200: bytes_of(PEM, "PEM, from the key's own upwards", examples.CERTIFICATE)} | PROBLEMS,
)
async def certificates(name: Name, caller: Anyone, rooms: House) -> Response:
    key = await _usable(rooms, caller, name)
    return _pem(key.certificate, *key.chain)


async def _usable(rooms: Rooms, caller: Caller, name: str) -> KeyDescription:
    for one in await rooms.sign.usable_keys(caller):
        if one.name == name:
            return one
    raise NoSuchKey(name)


def _pem(*chain: bytes) -> Response:
    text = b"".join(x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in chain)
    return Response(text, media_type=PEM)
