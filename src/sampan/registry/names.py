"""Repository names, tags and digests as they stand in URLs (OCI distribution specification 1.1, "Pull")."""

from __future__ import annotations

import re

from sampan.errors import InvalidArgument
from sampan.oci.digest import Digest, parse_digest
from sampan.registry.errors import RegistryError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
NAME_LIMIT = 229
"""Longest repository name: clients allow 255 characters for registry and name together."""


def check_name(name: str) -> str:
    """`name`, when it may be a repository's. Raises NAME_INVALID."""
    if len(name) > NAME_LIMIT:
        raise RegistryError("NAME_INVALID", f"a repository name has at most {NAME_LIMIT} characters")
    if not _NAME.fullmatch(name):
        raise RegistryError(
            "NAME_INVALID",
            "a repository name is made of lower-case letters and digits, with single separators inside its parts",
            detail={"name": name},
        )
    return name


def is_tag(text: str) -> bool:
    """Whether `text` may be a tag."""
    return _TAG.fullmatch(text) is not None


def check_digest(text: str) -> Digest:
    """`text` as a digest. Raises DIGEST_INVALID when it is malformed or of an algorithm that is not known here."""
    try:
        return parse_digest(text)
    except InvalidArgument as error:
        raise RegistryError("DIGEST_INVALID", str(error), detail={"digest": text}) from None


def check_tag(text: str) -> str:
    """`text`, when it may be a tag. Raises MANIFEST_INVALID."""
    if not is_tag(text):
        raise RegistryError("MANIFEST_INVALID", "invalid tag: letters, digits, '_', '.' and '-', at most 128 of them")
    return text
