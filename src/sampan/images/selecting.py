"""Which images a list shows: docker's filters before, since, dangling, label, reference and until."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache

from sampan.errors import InvalidArgument
from sampan.images.catalog import Image
from sampan.oci.reference import Reference
from sampan.wire import codec
from sampan.wire.filters import has_label, refuse_unknown

__all__ = ["Filters", "Selected", "boolean", "has_labels", "prunable", "select", "until"]

Filters = Mapping[str, Sequence[str]]
Selected = tuple[Image, list[str], list[str]]
"""An image with those of its tags and digests that the filters leave."""

_LIST_FILTERS = frozenset({"dangling", "label", "before", "since", "reference", "until"})
_PRUNE_FILTERS = frozenset({"dangling", "label", "label!", "until"})
_ALWAYS = float("inf")
_TRUE, _FALSE = ("1", "true"), ("0", "false")


def select(
    images: Sequence[Image], filters: Filters, everything: bool, resolve: Callable[[str], Image], parents: set[str]
) -> list[Selected]:
    """The images to show, in the order given. `parents` are ids that other images have as their parent.

    Raises InvalidArgument for filters that can't be right, NotFound where before or since name no image.
    """
    refuse_unknown(filters, _LIST_FILTERS)
    dangling = boolean(filters, "dangling")
    earliest, latest = _bounds(filters, resolve)
    chosen: list[Selected] = []
    for image in images:
        if not _created_between(image, earliest, latest) or not has_labels(image, filters.get("label", ())):
            continue
        tags, digests = _matching(image, filters.get("reference", ()))
        if _shown(image, tags, digests, dangling, "reference" in filters, everything, parents):
            chosen.append((image, tags, digests))
    return chosen


def prunable(images: Sequence[Image], filters: Filters, hidden: Set[str]) -> list[Image]:
    """The images that a prune may remove, apart from those in use. Raises InvalidArgument."""
    refuse_unknown(filters, _PRUNE_FILTERS)
    if len(filters.get("until", ())) > 1:
        raise InvalidArgument("more than one until filter specified")
    dangling, latest = boolean(filters, "dangling") is not False, until(filters)
    unwanted = filters.get("label!", ())
    parents = {image.parent for image in images}
    return [
        image
        for image in images
        if not (dangling and image.repo_tags)
        and (image.references or image.id not in parents)
        and image.id not in hidden
        and _created_between(image, -_ALWAYS, latest)
        and has_labels(image, filters.get("label", ()))
        and not (unwanted and has_labels(image, unwanted))
    ]


def boolean(filters: Filters, name: str) -> bool | None:
    """A filter that is true or false; None where it was not given."""
    values = {value.lower() for value in filters.get(name, ())}
    if not values:
        return None
    if len(values) == 1 and values <= {*_TRUE, *_FALSE}:
        return values <= set(_TRUE)
    raise InvalidArgument(f"invalid filter '{name}=[{' '.join(filters[name])}]'")


def until(filters: Filters) -> float:
    """The end of the time that `until` leaves, nanoseconds since the epoch; infinity where it was not given."""
    return min(map(codec.parse_time, filters.get("until", ())), default=_ALWAYS)


def has_labels(image: Image, wanted: Sequence[str]) -> bool:
    """Whether the image has every label, `key` or `key=value`."""
    labels = image.config.run.labels or {}
    return all(has_label(labels, text) for text in wanted)


def _created_between(image: Image, earliest: float, latest: float) -> bool:
    """Whether the time is between; an image that has none is outside of every limit."""
    if not image.created:
        return earliest == -_ALWAYS and latest == _ALWAYS
    return earliest < image.created < latest


def _bounds(filters: Filters, resolve: Callable[[str], Image]) -> tuple[float, float]:
    earliest, latest = -_ALWAYS, until(filters)
    for name in filters.get("since", ()):
        earliest = max(earliest, resolve(name).created)
    for name in filters.get("before", ()):
        latest = min(latest, resolve(name).created)
    return earliest, latest


def _matching(image: Image, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    if not patterns:
        return image.repo_tags, image.repo_digests
    found = [reference for reference in image.references if any(_familiar_match(p, reference) for p in patterns)]
    tags = [reference.familiar for reference in found if reference.tag]
    return tags, [reference.familiar for reference in found if reference.digest]


def _familiar_match(pattern: str, reference: Reference) -> bool:
    """docker's rule: the pattern fits the familiar name with tag or digest, or the name alone."""
    matcher = _path_pattern(pattern)
    return bool(matcher.fullmatch(reference.familiar) or matcher.fullmatch(reference.familiar_name))


@lru_cache(maxsize=256)
def _path_pattern(pattern: str) -> re.Pattern[str]:
    """Go's path.Match as an expression: no star or question mark stands for a slash."""
    try:
        return re.compile("".join(_translated(token) for token in _TOKENS.findall(pattern)), re.DOTALL)
    except re.error:
        raise InvalidArgument(f"invalid filter 'reference={pattern}': syntax error in pattern") from None


_TOKENS = re.compile(r"\\.|\[\^?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def _translated(token: str) -> str:
    if token == "*":
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if len(token) > 2 and token[0] == "[":
        return token.replace("[[", "[\\[")
    return token if token == "[" else re.escape(token[-1])


def _shown(
    image: Image,
    tags: list[str],
    digests: list[str],
    dangling: bool | None,
    by_reference: bool,
    everything: bool,
    parents: set[str],
) -> bool:
    if tags or digests:
        return not (dangling and tags)
    if by_reference or image.references:
        return False
    return (everything or image.id not in parents) and dangling is not False
