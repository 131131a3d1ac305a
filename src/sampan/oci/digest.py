"""Content digests: `algorithm:hex` (OCI image-spec descriptor.md, "Digests").

`Digest` is a plain str at run time, so that it is a row's key and a JSON value as it is; the type checker keeps it
apart from text that was not looked at.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NewType

from sampan.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable
    from hashlib import _Hash

__all__ = ["Digest", "chain_ids", "digest_of", "hash_digest", "hasher", "hex_of", "parse_digest", "short_id"]

Digest = NewType("Digest", str)

_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]+")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_SHORT = 12


def parse_digest(text: str) -> Digest:
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
    return Digest(text)


def digest_of(content: bytes | memoryview) -> Digest:
    """The sha256 digest of `content`."""
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def hash_digest(state: _Hash) -> Digest:
    """The digest that a hashlib object has come to."""
    return Digest(f"{state.name}:{state.hexdigest()}")


def hasher(digest: Digest) -> _Hash:
    """A fresh hashlib object of the digest's algorithm."""
    return hashlib.new(digest.partition(":")[0])


def hex_of(digest: Digest) -> str:
    """The digest without its algorithm."""
    return digest.partition(":")[2]


def short_id(digest: str) -> str:
    """The first twelve hex digits, as lists of images show them."""
    return digest.partition(":")[2][:_SHORT]


def chain_ids(diff_ids: Iterable[str]) -> list[Digest]:
    """The chain id of each layer, bottom first (OCI image-spec config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else parse_digest(diff_id))
    return chain
