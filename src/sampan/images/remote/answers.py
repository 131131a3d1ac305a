"""What registries answer, understood and verified."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec

from sampan.errors import DataLoss, InvalidArgument, Upstream
from sampan.oci.digest import Digest, hash_digest, parse_digest
from sampan.oci.documents import Descriptor
from sampan.oci.reference import Reference

T = TypeVar("T")


@dataclass(frozen=True)
class RemoteManifest:
    """A manifest as a registry has it; verified. `content` is empty where only its fields were asked for."""

    digest: Digest
    media_type: str
    size: int
    content: bytes = b""


@dataclass(frozen=True)
class UploadPlace:
    """Where the next bytes of an upload go, and how many are there."""

    url: str
    offset: int = 0


class TagList(msgspec.Struct):
    """Of tags/list."""

    tags: list[str] | None = None


class Catalog(msgspec.Struct):
    """Of _catalog."""

    repositories: list[str] | None = None


class Referring(msgspec.Struct, rename="camel"):
    """What of a manifest counts where it refers to another."""

    artifact_type: str = ""
    subject: Descriptor | None = None
    config: Descriptor | None = None
    annotations: dict[str, str] | None = None


class _Type(msgspec.Struct, rename="camel"):
    media_type: str = ""


def referrers_tag(digest: str) -> str:
    """The tag under which referrers of a digest are listed."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm[:32]}-{value[:64]}"


def named(reference: Reference, wanted: str) -> str:
    """A tag or digest with its repository, as people write it."""
    return f"{reference.familiar_name}{'@' if ':' in wanted else ':'}{wanted}"


def verified_digest(content: bytes, reply: aiohttp.ClientResponse, reference: str) -> Digest:
    """The content's digest, after what the caller asked for and what the registry said. Raises DataLoss."""
    wanted = parse_digest(reference) if ":" in reference else told_digest(reply)
    algorithm = wanted.partition(":")[0] if wanted else "sha256"
    found = hash_digest(hashlib.new(algorithm, content))
    if wanted and found != wanted:
        raise DataLoss(f"manifest verification failed for digest {wanted}: it is {found}")
    return found


def declared_type(content: bytes, field: str) -> str:
    """The manifest's own word for its type counts before the Content-Type field."""
    try:
        return decoded(content, _Type).media_type or field
    except Upstream:
        return field


def start_of(reply: aiohttp.ClientResponse, offset: int) -> int:
    """From where on an answer to a request for a range has the bytes. Raises Upstream for another range."""
    if reply.status != 206:
        return 0
    first = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if first != str(offset):
        raise Upstream(f"the registry sent another range than was asked for: {reply.headers.get('Content-Range')}")
    return offset


def next_page(reply: aiohttp.ClientResponse) -> str:
    """Where the next page is, "" at the last. Raises Upstream."""
    try:
        following = reply.links.get("next")
    except ValueError:
        raise Upstream(f"the registry's list goes on at no address: {reply.headers.get('Link')}") from None
    return str(following["url"]) if following else ""


def length_of(reply: aiohttp.ClientResponse) -> int:
    """The size that an answer to HEAD tells, 0 where it tells none."""
    text = reply.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def told_digest(reply: aiohttp.ClientResponse) -> Digest | None:
    """The digest that an answer tells. Raises Upstream where that is none."""
    told = reply.headers.get("Docker-Content-Digest")
    try:
        return parse_digest(told) if told else None
    except InvalidArgument as error:
        raise Upstream(f"the registry's answer: {error}") from None


def received(reply: aiohttp.ClientResponse) -> int:
    """How many bytes of an upload have arrived, by the Range field."""
    last = reply.headers.get("Range", "").rpartition("-")[2]
    return int(last) + 1 if last.isascii() and last.isdigit() and last != "0" else 0


def decoded(body: bytes, kind: type[T], what: str = "the registry's answer is not understood") -> T:
    """A JSON answer. Raises Upstream."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Upstream(f"{what}: {error}") from None
    except RecursionError:
        raise Upstream(f"{what}: it nests too deeply") from None
