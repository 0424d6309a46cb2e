"""Fetching, against a server that misbehaves: each case ends within its limits, and with a sentence."""

import asyncio
import gzip
import ipaddress
import ssl
import zlib
from collections.abc import Iterator, Sequence

import pytest
from bad_server import CERTIFICATE, BadServer, response
from hypothesis import assume, given
from hypothesis.strategies import ip_addresses

from llamachat.errors import PageError, PageOffline, PageRefused
from llamachat.tools.search.addresses import is_disguised, is_public
from llamachat.tools.search.fetch import Fetched, Fetcher

LIMIT = 100_000


@pytest.fixture
def server() -> Iterator[BadServer]:
    with BadServer() as server:
        yield server


async def fetch(server: BadServer, path: str, seconds: float = 20) -> Fetched:
    return await Fetcher(LIMIT, seconds, allow=frozenset({("127.0.0.1", server.port)})).get(server.url + path)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450::1", "64:ff9b::101:101"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


PRIVATE = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.0.3 169.254.169.254 172.16.0.1 192.0.0.8 192.0.2.1 192.168.1.1
    198.18.0.1 198.51.100.1 203.0.113.9 224.0.0.1 239.1.2.3 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1
    ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::808:808 100::1 2001::1 2001:db8::1 2002:7f00:1::
    2002:808:808:: 3fff::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 2606:4700::1%eth0 fec0::1 ff02::1 5f00::1 x
""".split()


@pytest.mark.parametrize("address", PRIVATE)
async def test_private_addresses_are_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(PageRefused, match="not on the public internet"):
        await Fetcher(look_up=lambda host, port: [address]).get("http://innocent.example/")


@given(ip_addresses())
def test_no_address_is_public_that_the_standard_library_knows_not_to_be(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assume(not str(address).startswith("64:ff9b::"))  # NAT64, of which the IPv4 address inside counts
    inside = [address, getattr(address, "ipv4_mapped", None), getattr(address, "sixtofour", None)]
    inside += getattr(address, "teredo", None) or []
    bad = any(x and (x.is_private or x.is_multicast or x.is_reserved or x.is_link_local) for x in inside)
    assert not (bad and is_public(str(address)))


def test_addresses_in_disguise() -> None:
    tricks = (
        "2130706433 0x7f000001 0x7f.1 0177.0.0.1 127.1 127.0.1 0 1.2.3.4.5 127.0.0.1. 08.8.8.8 256.1.1.1 0X7F.0.0.1"
    )
    assert [host for host in tricks.split() if not is_disguised(host)] == []
    assert [host for host in "8.8.8.8 example.com 1.example a1 x.0xyz 2606:4700::1".split() if is_disguised(host)] == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/", "public"),
        ("http://127.0.0.1:8080/", "public"),
        ("127.0.0.1/x", "public"),
        ("http://localhost/", "public"),
        ("http://[::1]/", "public"),
        ("http://[::ffff:7f00:1]/", "public"),
        ("http://[fe80::1%25eth0]/", None),
        ("http://2130706433/", "plain form"),
        ("http://0x7f.1/", "plain form"),
        ("http://127.1/", "plain form"),
        ("http://１２７.1/", None),  # full-width digits
        ("http://⑫⑦.0.0.1/", None),
        ("http://0.0.0.0/", "public"),
        ("http://example.com@127.0.0.1/", "user name"),
        ("http://a:b@example.com/", "user name"),
        ("http://1.1.1.1:22/", "Port 22"),
        ("http://1.1.1.1:99999/", "Port 99999"),
        ("file:///etc/passwd", "http"),
        ("ftp://1.1.1.1/", "http"),
        ("data://x", "http"),
        ("javascript:alert(1)", "address"),
        ("http://", "http"),
        ("http:///x", "http"),
        ("", "http"),
        ("http://a b/", "address"),
        ("http://x\r\nHost: y/", "address"),
        ("http://" + "a." * 2000 + "com/", None),
        ("http://\ud800/", None),
    ],
)
async def test_addresses_that_are_not_opened(url: str, says: str | None) -> None:
    with pytest.raises(PageError, match=says) as caught:
        await Fetcher(seconds=5).get(url)
    assert caught.value.message.endswith(".")
    assert caught.value.hint


async def test_the_checked_address_is_the_one_connected_to(server: BadServer) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    url = f"http://pages.test:{server.port}/ok"
    answer = await Fetcher(allow=frozenset({("127.0.0.1", server.port)}), look_up=rebinding).get(url)
    assert (answer.status, answer.kind, answer.charset, answer.url) == (200, "text/html", "utf-8", url)
    assert asked == ["pages.test"]
    assert f"\nHost: pages.test:{server.port}\n" in server.seen[0]


async def test_one_private_address_among_public_ones_is_enough(server: BadServer) -> None:
    with pytest.raises(PageRefused):
        await Fetcher(look_up=lambda host, port: ["1.1.1.1", "127.0.0.1"]).get("http://pages.test/ok")
    assert server.seen == []


async def test_an_address_that_is_dead_is_followed_by_the_next(server: BadServer) -> None:
    both = frozenset({("::1", server.port), ("127.0.0.1", server.port)})
    answer = await Fetcher(allow=both, look_up=lambda host, port: ["::1", "127.0.0.1"]).get(f"{server.url}/ok")
    assert answer.status == 200


@pytest.mark.parametrize("error", [OSError("no such host"), UnicodeError("label too long"), None])
async def test_hosts_that_nobody_knows(error: Exception | None) -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        if error:
            raise error
        return []

    with pytest.raises(PageOffline, match=r"^offline: no address is known for nowhere\.example\.\n"):
        await Fetcher(look_up=unknown).get("https://nowhere.example/")


async def test_nothing_of_ours_goes_out(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    answer = await fetch(server, "/cookie")
    assert answer.url.endswith("/ok")
    fields = {line.partition(":")[0].lower() for head in server.seen for line in head.splitlines()[1:]}
    assert fields <= {"host", "user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:PORT/secret",
        "//127.0.0.1:PORT/secret",
        "http://localhost:PORT/secret",
        "http://[::1]:PORT/secret",
        "http://2130706433:PORT/secret",
        "http://x@127.0.0.1:PORT/secret",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:8080/",
        "https://localhost/",
        "file:///etc/passwd",
        "data:text/html,hello",
        "javascript:alert(1)",
        "http://0177.0.0.1:PORT/secret",
    ],
)
async def test_redirects_are_checked_like_the_first_address(server: BadServer, place: str) -> None:
    with pytest.raises(PageRefused):
        await fetch(server, f"/away?{place}")
    assert len(server.seen) == 1


async def test_addresses_in_messages_are_short(server: BadServer) -> None:
    for place in (f"http://{'a' * 60_000}.example/", f"http://{'1.' * 9000}1/"):
        with pytest.raises(PageError) as caught:
            await fetch(server, f"/away?{place}")
        assert len(caught.value.message) < 200


async def test_redirects_come_to_an_end(server: BadServer) -> None:
    with pytest.raises(PageRefused, match="more than 5 times"):
        await fetch(server, "/loop")
    assert len(server.seen) == 6
    assert (await fetch(server, "/away?ok")).url == f"{server.url}/ok"


@pytest.mark.parametrize("path", ["/endless", "/endless-chunks", "/gzip-bomb", "/gzip-empty-blocks"])
async def test_bodies_without_an_end_are_cut(server: BadServer, path: str) -> None:
    answer = await fetch(server, path)
    assert not answer.whole
    assert len(answer.body) in (0, LIMIT)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),  # as some servers do
        ("identity", bytes),
    ],
)
async def test_codings_are_undone(server: BadServer, coding: str, pack: type[bytes]) -> None:
    data = bytes(range(256)) * 300
    server.answers["/x"] = response(pack(data), f"Content-Encoding: {coding}")
    answer = await fetch(server, "/x")
    assert answer.whole
    assert answer.body == data


async def test_what_follows_a_packed_body_is_dropped(server: BadServer) -> None:
    assert (await fetch(server, "/gzip-and-junk")).body == b"real"
    assert (await fetch(server, "/gzip-cut")).body.startswith(b"0 1 2 3")
    assert (await fetch(server, "/length-short")).body == b"long"


@pytest.mark.parametrize("path", ["/gzip-twice", "/brotli"])
async def test_codings_that_were_not_asked_for_are_refused(server: BadServer, path: str) -> None:
    with pytest.raises(PageRefused, match="packed as"):
        await fetch(server, path)


@pytest.mark.parametrize("path", ["/drip", "/drip-header", "/silence"])
async def test_slow_servers_are_left(server: BadServer, path: str) -> None:
    with pytest.raises(
        PageOffline, match=r"^offline: 127\.0\.0\.1 did not answer within 0\.3 s\.\n|^offline: 127\.0\.0\.1 fell silent"
    ):
        await fetch(server, path, seconds=0.3)


@pytest.mark.parametrize(
    "path",
    "/length-lie /two-lengths /bad-chunks /bad-status /not-http /nothing /huge-headers /many-headers"
    " /continue-for-ever /not-deflate".split(),
)
async def test_answers_that_are_none(server: BadServer, path: str) -> None:
    with pytest.raises(PageError) as caught:
        await fetch(server, path, seconds=1)
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message


async def test_a_fetch_can_be_interrupted(server: BadServer) -> None:
    task = asyncio.create_task(fetch(server, "/silence"))
    await asyncio.to_thread(server.visited.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_certificates_are_checked_against_the_name() -> None:
    with BadServer(tls=True) as server:
        here = frozenset({("127.0.0.1", server.port)})
        url = f"https://pages.test:{server.port}/ok"
        strict = Fetcher(allow=here, look_up=lambda host, port: ["127.0.0.1"])
        with pytest.raises(PageRefused, match=r"^pages\.test can't prove who it is"):
            await strict.get(url)
        trust = ssl.create_default_context(cafile=CERTIFICATE)
        knowing = Fetcher(allow=here, look_up=lambda host, port: ["127.0.0.1"], trust=trust)
        assert (await knowing.get(url)).status == 200
        with pytest.raises(PageRefused, match="prove who it is"):
            await knowing.get(url.replace("pages.test", "other.test"))


async def test_plain_http_on_a_tls_port_is_no_answer(server: BadServer) -> None:
    with pytest.raises(PageError):
        await Fetcher(seconds=1, allow=frozenset({("127.0.0.1", server.port)})).get(f"https://127.0.0.1:{server.port}/")
