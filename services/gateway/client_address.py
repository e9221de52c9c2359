"""Whose connection a request came by: pure.

`X-Forwarded-For` is what anybody may write. Only what the last trusted proxies added to its end is believed: with one
proxy in front, the last entry; with two, the last but one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from chassis.ops import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(scope: Scope, trusted_hops: int) -> str:
    """Answer the client's IP address; empty when there is none, as on a unix socket without a proxy.

    `trusted_hops` is the number of proxies in front; a request that passed fewer than that has the address of the first
    entry there is.
    """
    peer = scope.get("client")
    if not trusted_hops and peer and ":" not in peer[0]:
        return str(peer[0])  # the kernel's own words for an IPv4 address
    chain = [str(peer[0])] if peer else []
    if trusted_hops:
        said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        # Without a peer (a unix socket) the proxy itself is no entry, so one hop less is counted.
        believed = [part.strip() for part in said.decode("latin-1").split(",") if part.strip()] + chain
        place = trusted_hops + (1 if chain else 0)
        chain = believed[-place:]
    return _plain(chain[0]) if chain else ""


def _plain(text: str) -> str:
    """Write an address as it is stored: without port and brackets, IPv4 inside IPv6 as IPv4; empty when it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; one that nobody knows is in none."""
    if not address:
        return False
    known = ipaddress.ip_address(address)
    return any(known in network for network in networks)
