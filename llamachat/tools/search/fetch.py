"""One document from the web, within limits: bytes, seconds, redirects, addresses. Knows no HTML and no tool.

Each hop's host is looked up once, its addresses are checked, and the connection goes to the very address that was
checked, so a second look-up can't lead elsewhere (DNS rebinding). No cookies, credentials, proxies or settings of the
environment go out. Bodies are unpacked as they come, at most one coding deep, and never beyond the limit.
"""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import httpx

from llamachat import __version__
from llamachat.errors import PageError, PageOffline, PageRefused
from llamachat.tools.search.addresses import Resolve, checked_addresses, resolve

PORTS = frozenset({80, 443, 8080, 8443})  # where web servers are; mail, databases and admin panels are elsewhere
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRIES = 3  # addresses of a host
_STEP = {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 10.0}  # most seconds for one step
_HEADERS = {
    "User-Agent": f"llamachat/{__version__}",
    "Accept": "text/html,application/xhtml+xml,application/pdf,text/*;q=0.9,application/json;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "gzip, deflate",  # zlib can stop in the middle of a bomb
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer. ``url`` is where it came from in the end, ``kind`` its content type in lower case or empty."""

    url: str
    status: int
    kind: str
    charset: str | None
    body: bytes
    whole: bool
    """False if the body was longer than the limit, and is its beginning."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How documents are fetched. ``bytes`` counts the body both packed and unpacked, ``seconds`` is for all of it."""

    bytes: int = 16_000_000
    seconds: float = 20.0
    redirects: int = 5
    allow: frozenset[tuple[str, int]] = frozenset()
    """Address and port that need not be public, for tests. A redirect that names a host does not profit from it."""
    anywhere: bool = False
    """For addresses that the user has configured: private ones and any port are fine."""
    look_up: Resolve = resolve
    trust: ssl.SSLContext | None = None
    """Whose certificates are accepted; by default those that browsers accept."""

    async def get(self, url: str) -> Fetched:
        """GET ``url`` and what it redirects to, whatever the status.

        Raises PageRefused for what we do not do, PageOffline if nobody answers in time, PageError if the answer is
        not HTTP.
        """
        here = _parse(url if "://" in url else f"https://{url}")
        try:
            async with asyncio.timeout(self.seconds):
                return await self._follow(here)
        except TimeoutError as error:
            raise PageOffline(f"offline: {_host(here)} did not answer within {self.seconds:g} s.", _LATER) from error

    async def _follow(self, here: httpx.URL) -> Fetched:
        allow = self.allow
        for _ in range(self.redirects + 1):
            answer, target = await self._visit(here, allow)
            if target is None:
                return answer
            there = _parse(target)
            if there.scheme or there.host:
                allow = frozenset()
            here = _parse(target, here)
        raise PageRefused(f"{_host(here)} redirects more than {self.redirects} times.", "Open another page.")

    async def _visit(self, url: httpx.URL, allow: frozenset[tuple[str, int]]) -> tuple[Fetched, str | None]:
        """One hop: the answer, and where it redirects to."""
        if url.scheme not in ("http", "https") or not url.raw_host:
            raise PageRefused("Only http and https addresses can be opened.", "Give one that begins with https://.")
        if url.userinfo:
            raise PageRefused("Addresses with a user name or password are not opened.", "Leave that part out.")
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        if not (port in PORTS or self.anywhere or any(port == allowed for _, allowed in allow)):
            raise PageRefused(f"Port {port} is not one of web pages.", "Open a page on a usual port.")
        host = url.raw_host.decode("ascii")
        addresses = await checked_addresses(host, port, None if self.anywhere else allow, self.look_up)
        for address in addresses[:_TRIES]:
            try:
                return await self._ask(url, host, address)
            except _Unreachable as error:
                problem = error
        raise PageOffline(f"offline: {_host(url)} can't be reached.", _LATER) from problem

    async def _ask(self, url: httpx.URL, host: str, address: str) -> tuple[Fetched, str | None]:
        # The transport, not a client: a client keeps cookies, reads .netrc, and builds the request of each redirect.
        async with httpx.AsyncHTTPTransport(verify=self.trust or _browsers_trust(), trust_env=False) as transport:
            # Below ``seconds``: httpcore 1.0 leaves the socket of a cancelled TLS handshake to the garbage collector.
            steps = {step: min(most, self.seconds / 3) for step, most in _STEP.items()}
            request = httpx.Request(
                "GET",
                url.copy_with(host=address),
                headers={**_HEADERS, "Host": url.netloc.decode("ascii")},
                extensions={"timeout": steps, "sni_hostname": host.rstrip(".")},  # certificates are checked by it
            )
            try:
                response = await transport.handle_async_request(request)
                try:
                    return await self._read(url, response)
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                raise _explained(url, error) from error

    async def _read(self, url: httpx.URL, response: httpx.Response) -> tuple[Fetched, str | None]:
        status, headers = response.status_code, response.headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        place = str(url.copy_with(fragment=None))
        if status in _REDIRECTS and "location" in headers:
            return Fetched(place, status, kind, None, b"", True), headers["location"]
        unpack = _unpacker(headers.get("content-encoding", "identity").strip().lower())
        body, packed = bytearray(), 0
        async for chunk in response.aiter_raw():
            packed += len(chunk)
            body += unpack(chunk, self.bytes + 1 - len(body))
            if max(len(body), packed) > self.bytes:
                break
        whole = max(len(body), packed) <= self.bytes
        return Fetched(place, status, kind, response.charset_encoding, bytes(body[: self.bytes]), whole), None


_LATER = "Try again later, or open another page."


class _Unreachable(Exception):
    """No connection to one address of a host; another may do."""


@cache
def _browsers_trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 20 ms


def _parse(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """``url``, seen from ``base`` if there is one."""
    try:
        return base.join(url.strip()) if base else httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise PageRefused("That is not an address of a page.", "Give one that begins with https://.") from error


def _host(url: httpx.URL) -> str:
    return url.host[:100]


def _explained(url: httpx.URL, error: httpx.HTTPError) -> Exception:
    """What of ours an exception of httpx is."""
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return PageRefused(f"{_host(url)} can't prove who it is: its certificate is not valid.", "Open another page.")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return _Unreachable(str(error))
    if isinstance(error, httpx.TimeoutException):
        return PageOffline(f"offline: {_host(url)} fell silent.", _LATER)
    if isinstance(error, httpx.NetworkError):
        return PageOffline(f"offline: {_host(url)} broke off.", _LATER)
    return PageError(f"{_host(url)} broke off, or does not speak proper HTTP.", "Open another page.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _unpacker(coding: str) -> Callable[[bytes, int], bytes]:
    """Chunk and most bytes wanted (at least 1) to unpacked bytes. Raises PageRefused on codings that can't be."""
    if coding in ("", "identity"):
        return lambda chunk, limit: chunk[:limit]
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise PageRefused(f"The page is packed as {coding[:40]!r}, which was not asked for.", "Open another page.")
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
    raw = coding == "deflate"  # some servers send it without one (RFC 9110 §8.4.1.2)

    def unpack(chunk: bytes, limit: int) -> bytes:
        nonlocal inflater, raw
        first, raw = raw, False
        if inflater.eof:
            return b""  # what follows would only pile up in it
        try:
            return inflater.decompress(chunk, limit)
        except zlib.error as error:
            if first:
                inflater = zlib.decompressobj(wbits=-15)
                return unpack(chunk, limit)
            raise PageError(f"The page says that it is packed as {coding}, but is not.", _LATER) from error

    return unpack
