"""This file looks at a request before anything else does: who sent it, under which name, how much is announced.

- `X-Forwarded-*` is believed from listed proxies alone, and taken away from everybody else's request.
- In production the name asked for is the public address, and nothing else: no link is ever made of a foreign name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.types import Scope

from web.bad_request import BadRequest, Fault

Headers = list[tuple[bytes, bytes]]

MOST_HEADERS = 64
LARGEST_HEADER = 8 * 1024  # bytes of one value
LARGEST_HEADERS = 32 * 1024
LONGEST_TARGET = 4 * 1024  # path and query
HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
LENGTH = re.compile(rb"\d{1,15}")
WITHOUT_HOST = {"/healthz", "/readyz", "/metrics"}  # probes ask by address
FORWARDED = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"}
UNKNOWN = "0.0.0.0"  # noqa: S104  a socket without address


def admit(scope: Scope, *, address: str, production: bool, proxies: Sequence[str]) -> None:
    """Corrects `client`, `scheme` and headers in the scope. Raises BadRequest."""
    headers: Headers = scope["headers"]
    _check_sizes(scope, headers)
    _check_length(headers)
    scope["headers"] = headers = _believe(scope, headers, proxies)
    _check_host(scope, headers, address=address, production=production)


def client_address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else UNKNOWN


def in_networks(address: str, networks: Sequence[str]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(
        parsed in network for network in _networks(tuple(networks)) if network.version == parsed.version
    )


def _check_sizes(scope: Scope, headers: Headers) -> None:
    target = len(scope.get("raw_path") or scope["path"].encode()) + len(scope.get("query_string", b""))
    whole = sum(len(name) + len(value) for name, value in headers)
    widest = max((len(value) for _, value in headers), default=0)
    if (
        len(headers) > MOST_HEADERS
        or whole > LARGEST_HEADERS
        or widest > LARGEST_HEADER
        or target > LONGEST_TARGET
    ):
        raise BadRequest(Fault.HEADERS_TOO_LARGE)


def _check_length(headers: Headers) -> None:
    """RFC 9112 6.3: one length, in digits, and never beside a transfer coding, or two readers see two requests."""
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return
    coded = any(name == b"transfer-encoding" for name, _ in headers)
    if len(lengths) > 1 or coded or not LENGTH.fullmatch(lengths[0]):
        raise BadRequest(Fault.BAD_LENGTH)


def declared_length(headers: Headers) -> int | None:
    """Bytes; the header was checked before."""
    return next((int(value) for name, value in headers if name == b"content-length"), None)


def _believe(scope: Scope, headers: Headers, proxies: Sequence[str]) -> Headers:
    if in_networks(client_address(scope), proxies):
        path = ",".join(v.decode("latin-1") for n, v in headers if n == b"x-forwarded-for")
        for hop in reversed([one.strip() for one in path.split(",") if one.strip()]):
            if _parsed(hop) is None:
                break
            scope["client"] = (hop, 0)
            if not in_networks(hop, proxies):
                break
        proto = [v for n, v in headers if n == b"x-forwarded-proto"]
        if proto and proto[-1] in {b"http", b"https"}:
            scope["scheme"] = proto[-1].decode()
    elif any(name in FORWARDED for name, _ in headers):
        scope["state"]["unlisted_proxy"] = True  # whose address it is that we see, nobody knows
    return [one for one in headers if one[0] not in FORWARDED]


def _check_host(scope: Scope, headers: Headers, *, address: str, production: bool) -> None:
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise BadRequest(Fault.BAD_HOST)
    wanted = urlsplit(address).netloc.lower()
    if production and hosts[0].lower() != wanted and scope["path"] not in WITHOUT_HOST:
        raise BadRequest(Fault.BAD_HOST)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


@lru_cache(maxsize=32)
def _networks(names: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one, strict=False) for one in names)
