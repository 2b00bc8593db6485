"""Who may connect to a listener, and how many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import structlog

log = structlog.get_logger("mllp")
TOLD = 1000
"""So many peers that were turned away are named in the log, each once."""


class Doorman:
    """Counts who is in. `allow` empty: everybody may come; addresses or networks (`10.1.0.0/16`)."""

    def __init__(self, allow: Iterable[str], most: int, most_per_peer: int | None) -> None:
        self._allow = [network(each) for each in allow]
        self._most = most
        self._most_per_peer = most_per_peer
        self._inside: Counter[str] = Counter()
        self._told: set[tuple[str, str]] = set()

    def admits(self, peer: str) -> bool:
        """May one more connection of this address come in? Then it is counted until `left`."""
        if why := self._refusal(peer):
            if (peer, why) not in self._told and len(self._told) < TOLD:
                self._told.add((peer, why))
                log.warning("turned away", peer=peer, reason=why)
            return False
        self._inside[peer] += 1
        return True

    def left(self, peer: str) -> None:
        self._inside[peer] -= 1
        if not self._inside[peer]:
            del self._inside[peer]

    def _refusal(self, peer: str) -> str:
        if self._allow and not self._allowed(peer):
            return "its address is not in allow"
        if self._inside.total() >= self._most:
            return "max_connections are in use"
        if self._most_per_peer is not None and self._inside[peer] >= self._most_per_peer:
            return "max_per_peer connections of it are in use"
        return ""

    def _allowed(self, peer: str) -> bool:
        address = ip_address(peer.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in each for each in self._allow)


def network(text: str) -> IPv4Network | IPv6Network:
    """An address or a network. ValueError: neither."""
    return ip_network(text, strict=False)


def problems(allow: Iterable[str], most: int, most_per_peer: int | None) -> list[str]:
    """What is wrong with the settings."""
    found = []
    for each in allow:
        try:
            network(each)
        except ValueError:
            found.append(f'allow: "{each}" is no address or network such as 10.1.0.0/16')
    if most < 1 or (most_per_peer is not None and most_per_peer < 1):
        found.append("max_connections and max_per_peer should be at least 1")
    return found
