"""Which addresses on the network a model may make us talk to. Knows no HTTP.

Only the public internet is: not this machine, its network, its cloud's metadata service, or any notation that leads
there. Registries: IANA IPv4 and IPv6 Special-Purpose Address Space; RFC 6052 (NAT64).
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

from llamachat.errors import PageOffline, PageRefused
from llamachat.threads import in_thread

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to numeric addresses, best first; blocks, raises OSError or UnicodeError."""

# Written out, since ``ipaddress.is_global`` has changed its mind between patch releases of Python 3.11.
_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
        " 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
    ).split()
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL = ipaddress.IPv6Network("2000::/3")
# Inside 2000::/3, and no place on the internet: protocol assignments and Teredo, documentation (two), 6to4.
_NOT_GLOBAL = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")))
# A last label that is a number makes the whole host one (WHATWG URL §3.5): 127.1, 0x7f000001, 2130706433, 0177.0.0.1.
_NUMBER = re.compile(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$", re.IGNORECASE | re.ASCII)


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet.

    An IPv4 address behind the well-known NAT64 prefix is judged as itself: in networks without IPv4 every name
    resolves to such. IPv4-mapped, 6to4, Teredo and site-local forms are never public.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed in _NAT64:
        parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed in _GLOBAL and not any(parsed in network for network in _NOT_GLOBAL) and not parsed.scope_id
    return not any(parsed in network for network in _NOT_PUBLIC)


def is_disguised(host: str) -> bool:
    """Whether ``host`` is an IPv4 address in a notation that only resolvers read: octal, hexadecimal, short, long."""
    if not _NUMBER.search(host):
        return False
    try:
        return str(ipaddress.IPv4Address(host)) != host
    except ValueError:
        return True


def resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def checked_addresses(
    host: str, port: int, allow: frozenset[tuple[str, int]] | None = frozenset(), look_up: Resolve = resolve
) -> Sequence[str]:
    """Addresses of ``host``, all of them public or in ``allow`` with their port. One look-up: connect to these.

    ``allow`` None is for hosts that the user has named: any address is fine. Raises PageRefused if any of them is
    neither public nor allowed, PageOffline if the host has none.
    """
    shown = host[:100]
    if allow is not None and is_disguised(host):
        raise PageRefused(f"{shown} is not the plain form of an address.", "Give the name of the host.")
    try:
        addresses = list(dict.fromkeys(await in_thread(lambda: look_up(host, port))))
    except (OSError, UnicodeError) as error:
        raise PageOffline(f"offline: no address is known for {shown}.", "Check the name, and the network.") from error
    if not addresses:
        raise PageOffline(f"offline: no address is known for {shown}.", "Check the name, and the network.")
    if allow is not None and any(not is_public(address) and (address, port) not in allow for address in addresses):
        raise PageRefused(f"{shown} is not on the public internet.", "Only public pages can be opened.")
    return addresses
