"""The map of a Redis Cluster: which node has which of the 16384 slots."""

from typing import Any, NamedTuple

from parley.backing.state.redis_url import Address

SLOTS = 16_384


class Node(NamedTuple):
    """A master: where it is, and its identity, which outlives a change of address."""

    address: Address
    identity: bytes


class SlotMap:
    """Nodes by slot."""

    def __init__(self) -> None:
        self._nodes: list[Node | None] = [None] * SLOTS

    @classmethod
    def parse(cls, reply: Any, asked: Address) -> "SlotMap":
        """Reads the reply to CLUSTER SLOTS; a node without host is where the asked one is.

        Raises:
            ValueError: it is not such a reply.
        """
        found = cls()
        try:
            for first, last, (host, port, identity, *_), *_ in reply:
                address = Address(host.decode() if host else asked.host, int(port))
                found._nodes[first : last + 1] = [Node(address, identity)] * (last + 1 - first)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError("not a map of slots") from error
        return found

    @property
    def is_complete(self) -> bool:
        """Says whether every slot has a node."""
        return None not in self._nodes

    def at(self, slot: int) -> Address | None:
        """Returns the node of a slot, if known."""
        node = self._nodes[slot]
        return None if node is None else node.address

    def addresses(self) -> set[Address]:
        """Returns all nodes that have slots."""
        return {node.address for node in set(self._nodes) if node is not None}

    def move(self, slot: int, address: Address) -> None:
        """Notes that a slot is elsewhere; its node's identity is learnt with the next map."""
        node = self._nodes[slot]
        self._nodes[slot] = Node(address, b"" if node is None else node.identity)

    def has_changed_hands(self, before: "SlotMap") -> bool:
        """Says whether a slot has another master than before (one that is known)."""
        pairs = set(zip(before._nodes, self._nodes, strict=True))
        return any(
            old is not None and new is not None and old.identity and old.identity != new.identity
            for old, new in pairs
        )
