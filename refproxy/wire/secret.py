"""Octets that must never be shown: passwords, tokens, digests."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret:
    """Octets whose repr and str are a fixed text; `reveal` is the one way to them."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def reveal(self) -> bytes:
        """Return the octets, for the wire and for nothing else."""
        return self._octets

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._octets == other._octets

    def __hash__(self) -> int:
        return hash(self._octets)
