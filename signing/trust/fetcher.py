"""Asks authorities over HTTP for CRLs, OCSP answers and issuers' certificates: this file sees to it that nothing else
is asked, and that no answer can hurt (C4).

- Callers hand it addresses out of certificates whose path to an anchor stands, never out of an unverified file.
- Even so only http and https, and only public addresses: whoever writes a certificate must not reach what lies inside
  our walls. The name is resolved here and the connection goes to the very address that was checked.
- Time, size and redirects are bounded. Nothing is unpacked: a compressed answer is refused.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

MAX_CRL = 32 << 20  # bytes
MAX_OCSP = 64 << 10
MAX_ISSUER = 64 << 10
SECONDS = 10.0  # for one question, name resolution and body included
MAX_REDIRECTS = 2
MAX_ADDRESS = 2048  # characters


class NotFetched(Exception):
    """No answer that could be used. `why` is short and holds nothing secret."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address[:200]}: {why}")
        self.address, self.why = address, why


@dataclass(frozen=True)
class Reach:
    """Where we may ask. `networks`: addresses that are not public but allowed by configuration (an authority inside
    the state's own network; the loopback in development). `issuer_hosts`: whence issuers' certificates may come."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    issuer_hosts: frozenset[str] = frozenset()

    @staticmethod
    def allowing(networks: Iterable[str] = (), issuer_hosts: Iterable[str] = ()) -> Reach:
        """From `10.1.0.0/16` and the like. Raises ValueError."""
        return Reach(tuple(ip_network(one) for one in networks), frozenset(map(str.lower, issuer_hosts)))

    def allows(self, address: str) -> bool:
        """Whether this numeric address may be connected to."""
        number = ip_address(address.partition("%")[0])
        if isinstance(number, IPv6Address) and number.ipv4_mapped:
            number = number.ipv4_mapped
        if any(number in one for one in self.networks if one.version == number.version):
            return True
        return number.is_global and not number.is_multicast


class Fetcher:
    """Use it as a context, or `close` it. Safe to call from many tasks of one event loop."""

    def __init__(self, reach: Reach | None = None, *, seconds: float = SECONDS) -> None:
        self.reach, self._seconds = reach or Reach(), seconds
        # No proxy and no credentials out of the environment: what is asked must go where it was checked.
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "antin"},
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8),
        )

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def crl(self, address: str) -> bytes:
        """Raises NotFetched."""
        return await self._bounded("GET", address, MAX_CRL)

    async def ocsp(self, address: str, request: bytes) -> bytes:
        """Raises NotFetched."""
        return await self._bounded("POST", address, MAX_OCSP, request)

    async def issuer(self, address: str) -> bytes:
        """A certificate or PKCS#7 bundle, from a listed host only (C4). Raises NotFetched."""
        if _url(address).host.lower() not in self.reach.issuer_hosts:
            raise NotFetched(address, "the host is not listed for issuers' certificates")
        return await self._bounded("GET", address, MAX_ISSUER)

    async def _bounded(self, method: str, address: str, limit: int, body: bytes | None = None) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(method, address, limit, body)
        except TimeoutError as late:
            raise NotFetched(address, f"no answer within {self._seconds:g} s") from late
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as wrong:
            raise NotFetched(address, type(wrong).__name__) from wrong

    async def _follow(self, method: str, address: str, limit: int, body: bytes | None) -> bytes:
        url = _url(address)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(method, url, limit, body)
            if isinstance(answer, bytes):
                return answer
            # From http to https of the same host is usual; to elsewhere is not what the certificate says.
            if answer.host != url.host:
                raise NotFetched(address, "redirected elsewhere")
            url = answer
        raise NotFetched(address, "redirected again and again")

    async def _ask(self, method: str, url: httpx.URL, limit: int, body: bytes | None) -> bytes | httpx.URL:
        numeric = await self._resolve(url)
        headers = {"Host": url.netloc.decode("ascii")}
        if body is not None:
            headers["Content-Type"] = "application/ocsp-request"
        async with self._client.stream(
            method,
            url.copy_with(host=numeric),
            content=body,
            headers=headers,
            extensions={"sni_hostname": url.host},
            timeout=self._seconds,
        ) as response:
            if response.is_redirect:
                return _url(str(url.join(response.headers.get("location", ""))))
            if response.status_code != 200:
                raise NotFetched(str(url), f"HTTP status {response.status_code}")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise NotFetched(str(url), "a compressed answer")
            return await _body(response, limit, str(url))

    async def _resolve(self, url: httpx.URL) -> str:
        port = url.port or (443 if url.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        # One forbidden address among several is refused too: the name is then not what it seems.
        if not addresses or not all(self.reach.allows(one) for one in addresses):
            raise NotFetched(str(url), "the address is not public")
        return addresses[0]


def _url(address: str) -> httpx.URL:
    """Raises NotFetched."""
    try:
        url = httpx.URL(address) if len(address) <= MAX_ADDRESS else httpx.URL("")
    except (httpx.InvalidURL, UnicodeError) as wrong:
        raise NotFetched(address, "not an address") from wrong
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise NotFetched(address, "not a plain http or https address")
    if url.port is not None and not 0 < url.port < 65536:
        raise NotFetched(address, "no such port")
    return url


async def _body(response: httpx.Response, limit: int, address: str) -> bytes:
    declared = response.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        raise NotFetched(address, "too large")
    whole = bytearray()
    async for piece in response.aiter_raw():
        whole += piece
        if len(whole) > limit:
            raise NotFetched(address, "too large")
    return bytes(whole)
