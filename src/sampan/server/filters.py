"""The `filters` parameter: `{"label":{"a=b":true}}` as the docker CLI sends it, `{"label":["a=b"]}` as others do."""

from __future__ import annotations

import msgspec

from sampan.errors import InvalidArgument

Filters = dict[str, list[str]]

_maps = msgspec.json.Decoder(dict[str, dict[str, bool] | None] | None)
_lists = msgspec.json.Decoder(dict[str, list[str] | None] | None)


def parse_filters(text: str) -> Filters:
    """Filter names with their values. Raises InvalidArgument for what is neither form.

    The truth values say nothing, as in dockerd: a key is a value. Whether a name exists is the service's to say.
    """
    if not text:
        return {}
    for decoder in (_maps, _lists):
        try:
            found = decoder.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            continue
        return {name: list(values or ()) for name, values in (found or {}).items()}
    raise InvalidArgument(
        'invalid filter: use a JSON object of lists or of sets, as in {"label": ["a=b"]} or {"label": {"a=b": true}}'
    )
