"""Content digests: `algorithm:hex` (OCI image-spec descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from sampan.errors import InvalidArgument

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Digest", "chain_ids"]

_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]+")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class Digest(str):
    """A verified digest. A str, so that it is a row's key, a dictionary's key and a JSON value as it is."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Raises InvalidArgument unless `text` is a well-formed digest of a known algorithm."""
        if not _SHAPE.fullmatch(text):
            raise InvalidArgument("invalid checksum digest format")
        algorithm, _, value = text.partition(":")
        if algorithm not in _LENGTHS:
            raise InvalidArgument("unsupported digest algorithm")
        if len(value) != _LENGTHS[algorithm]:
            raise InvalidArgument("invalid checksum digest length")
        if value != value.lower():
            raise InvalidArgument("invalid checksum digest format")
        return cls(text)

    @classmethod
    def of(cls, content: bytes | memoryview) -> Digest:
        """The sha256 digest of `content`."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @classmethod
    def from_hash(cls, state: _Hash) -> Digest:
        """The digest that a hashlib object has come to."""
        return cls(f"{state.name}:{state.hexdigest()}")

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hex digits, as lists of images show them."""
        return self.hex[:12]

    def hasher(self) -> _Hash:
        """A fresh hashlib object of this digest's algorithm."""
        return hashlib.new(self.algorithm)


def chain_ids(diff_ids: list[str]) -> list[Digest]:
    """The chain id of each layer, bottom first (OCI image-spec config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(Digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else Digest.parse(diff_id))
    return chain
