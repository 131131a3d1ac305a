"""Image references as people write them, taken apart for the API: `busybox` is docker.io/library/busybox:latest."""

from __future__ import annotations

import re

from sampan.errors import InvalidArgument

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")


class Reference:
    """`repository` with its registry, and a `tag` or a `digest` ("" where there is none)."""

    __slots__ = ("digest", "repository", "tag")

    def __init__(self, repository: str, tag: str, digest: str) -> None:
        self.repository, self.tag, self.digest = repository, tag, digest

    @property
    def registry(self) -> str:
        return self.repository.partition("/")[0]

    @property
    def familiar(self) -> str:
        """The repository as docker shows it: without what it would add by itself."""
        return self.repository.removeprefix("docker.io/").removeprefix("library/")


def parse(text: str) -> Reference:
    """Return the reference that `text` means. Raises InvalidArgument."""
    name, _, digest = text.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, ""
    registry, slash, path = head.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost" or registry.lower() != registry):
        registry, path = "docker.io", head
    if registry == "index.docker.io":
        registry = "docker.io"
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    if path.lower() != path and _PATH.fullmatch(path.lower()):
        raise InvalidArgument(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _PATH.fullmatch(path) or (tag and not _TAG.fullmatch(tag)) or (digest and not _DIGEST.fullmatch(digest)):
        raise InvalidArgument("invalid reference format")
    if (colon and not tag and head != name) or ("@" in text and not digest):
        raise InvalidArgument("invalid reference format")
    return Reference(f"{registry}/{path}", tag, digest)
