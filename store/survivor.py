"""Who survives: a fold over all links of one group of patient nodes. Pure, and blind to arrival order.

A merge (A40) moves a whole group under its survivor, and a later merge in the other direction turns it
round. A claim says that a secondary identifier's own node belongs to a patient; when two patients claim it,
the one who claimed it first by the source's clock holds it, until a merge makes them one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Edge = tuple[bytes, int, int]  # clock, prior, survivor


class Survivors(NamedTuple):
    """`of` maps every node to its survivor (itself, if it is one); `contested` are the claims not honoured."""

    of: dict[int, int]
    contested: frozenset[tuple[int, int]]


def survivors(nodes: Mapping[int, bytes], merges: Iterable[Edge], claims: Iterable[Edge]) -> Survivors:
    """Fold the links of one group; `nodes` with their keys, which decide between equal clocks: the numbers of nodes
    follow the order of arrival. `claims` hold the earliest clock per (prior, survivor)."""

    def in_order(edge: Edge) -> tuple[bytes, bytes, bytes]:
        return edge[0], nodes[edge[1]], nodes[edge[2]]

    root = {node: node for node in nodes}
    ordered = sorted(claims, key=in_order)
    holders: dict[int, Edge] = {}
    for claim in ordered:
        holders.setdefault(claim[1], claim)
    for _, prior, survivor in holders.values():
        _join(root, prior, survivor)
    for _, prior, survivor in sorted(merges, key=in_order):
        _join(root, prior, survivor)
    contested = frozenset((p, s) for _, p, s in ordered if root[p] != root[s])
    return Survivors(root, contested)


def _join(root: dict[int, int], prior: int, survivor: int) -> None:
    old, new = root[prior], root[survivor]
    if old == new:
        new = survivor  # the later word within one group: this node survives after all
    for node, top in root.items():
        if top == old:
            root[node] = new
