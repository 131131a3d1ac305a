"""What registries answer, understood and verified."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec

from sampan.errors import DataLoss, Upstream
from sampan.oci.digest import Digest
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
    wanted = reference if ":" in reference else reply.headers.get("Docker-Content-Digest", "")
    algorithm = wanted.partition(":")[0] or "sha256"
    try:
        found = Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    except ValueError:
        raise Upstream(f"the registry uses an unknown digest algorithm: {wanted}") from None
    if wanted and found != wanted:
        raise DataLoss(f"manifest verification failed for digest {wanted}: it is {found}")
    return found


def declared_type(content: bytes, field: str) -> str:
    """The manifest's own word for its type counts before the Content-Type field."""
    try:
        return msgspec.json.decode(content, type=_Type).media_type or field
    except (msgspec.DecodeError, UnicodeDecodeError):
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
    """Where the next page is, "" at the last."""
    following = next((link for name, link in reply.links.items() if name == "next"), None)
    return str(following["url"]) if following else ""


def decoded(body: bytes, kind: type[T]) -> T:
    """A JSON answer. Raises Upstream."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Upstream(f"the registry's answer is not understood: {error}") from None
