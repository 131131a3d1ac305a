"""Platforms in a query: as JSON, `{"os":"linux","architecture":"arm64"}` (OCI image-spec, platform)."""

from __future__ import annotations

from sampan.errors import InvalidArgument
from sampan.oci.platform import Platform
from sampan.server.call import Call
from sampan.wire import codec
from sampan.wire.distribution import Platform as PlatformDocument


def json_platform(call: Call, key: str = "platform") -> Platform | None:
    """The platform in the first value of `key`, None where there is none. Raises InvalidArgument."""
    text = call.text(key)
    return parse_json_platform(text) if text else None


def json_platforms(call: Call, key: str) -> list[Platform]:
    """The platforms in all values of `key`. Raises InvalidArgument."""
    return [parse_json_platform(text) for text in call.texts(key) if text]


def parse_json_platform(text: str) -> Platform:
    """The platform that a JSON document names. Raises InvalidArgument."""
    try:
        document = codec.decode(text.encode("utf-8", "replace"), PlatformDocument)
    except (InvalidArgument, RecursionError) as error:
        raise InvalidArgument(f"failed to parse platform: {error}") from None
    if not (document.os and document.architecture):
        raise InvalidArgument("both OS and Architecture must be provided")
    return Platform.of(document.os, document.architecture, document.variant, document.os_version)
