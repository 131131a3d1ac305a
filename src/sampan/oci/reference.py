"""Image references: `[domain/]path[:tag][@digest]`, with docker's defaults.

    "busybox"               docker.io/library/busybox           familiar: busybox
    "me/app:1"              docker.io/me/app:1                  familiar: me/app:1
    "localhost:5000/a@sha256:..."                               familiar: as it is

The grammar is that of the distribution project's reference package; the messages are those that its users know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sampan.errors import InvalidArgument
from sampan.oci.digest import Digest, parse_digest

__all__ = ["DEFAULT_DOMAIN", "DEFAULT_TAG", "Reference", "is_identifier", "parse_any"]

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_PART}(?:/{_PATH_PART})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_TAG_ALONE = re.compile(_TAG)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_NAME_LIMIT = 255


@dataclass(frozen=True, order=True)
class Reference:
    """A parsed, normalised reference. `str()` is the canonical form, `familiar` what docker shows."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises InvalidArgument with docker's words."""
        if is_identifier(text):
            raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        domain, rest = _split_domain(text)
        remote = rest.partition("@")[0].partition(":")[0]
        if remote != remote.lower():
            raise InvalidArgument(f"invalid reference format: repository name ({remote}) must be lowercase")
        match = _REFERENCE.fullmatch(f"{domain}/{rest}")
        if match is None:
            raise InvalidArgument("invalid reference format")
        if len(match["path"]) > _NAME_LIMIT:
            raise InvalidArgument("repository name must not be more than 255 characters")
        digest = parse_digest(match["digest"]) if match["digest"] else None
        return cls(match["domain"], match["path"], match["tag"], digest)

    @property
    def name(self) -> str:
        """Canonical repository name: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """What docker shows of the repository: `busybox`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        # What looks like a domain must keep its prefix, or it would be read as one.
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The familiar name with tag and digest."""
        return self.familiar_name + self._suffix

    @property
    def is_name_only(self) -> bool:
        return self.tag is None and self.digest is None

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix

    def with_default_tag(self) -> Reference:
        """`:latest` where there is neither tag nor digest."""
        return replace(self, tag=DEFAULT_TAG) if self.is_name_only else self

    def with_tag(self, tag: str) -> Reference:
        """The same repository at `tag`, without digest. Raises InvalidArgument for a malformed tag."""
        if not _TAG_ALONE.fullmatch(tag):
            raise InvalidArgument("invalid tag format")
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        """The same repository at `digest`, without tag."""
        return replace(self, tag=None, digest=parse_digest(digest))

    def key(self) -> Reference:
        """What names one stored entry: by digest where there is one (a tag beside it says nothing), else by tag."""
        return replace(self, tag=None) if self.digest else self.with_default_tag()


def is_identifier(text: str) -> bool:
    """Whether `text` is a full image id without its algorithm, which no repository name may be."""
    return _IDENTIFIER.fullmatch(text) is not None


def parse_any(text: str) -> Reference | Digest:
    """A full id (with or without `sha256:`) or a reference, as image operations take them."""
    if is_identifier(text):
        return Digest(f"sha256:{text}")
    try:
        return parse_digest(text)
    except InvalidArgument:
        return Reference.parse(text)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    named = slash and (first == "localhost" or "." in first or ":" in first or first != first.lower())
    domain, path = (first, rest) if named else (DEFAULT_DOMAIN, text)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path
