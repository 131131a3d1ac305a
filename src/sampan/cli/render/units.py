"""Sizes and ages in docker's words (github.com/docker/go-units is what they must look like)."""

from __future__ import annotations

from sampan.errors import InvalidArgument

DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
MINUTE, HOUR, DAY = 60, 3600, 86400


def human_size(size: float, precision: int = 4) -> str:
    """Return `size` bytes in powers of 1000 with `precision` significant digits."""
    return _scaled(size, 1000, DECIMAL, precision)


def bytes_size(size: float) -> str:
    """Return `size` bytes in powers of 1024 with four significant digits."""
    return _scaled(size, 1024, BINARY, 4)


def parse_bytes(text: str) -> int:
    """Return the bytes that `64m`, `1.5GiB`, `-1` mean, in powers of 1024. Raises InvalidArgument."""
    number = text.rstrip("bBiIkKmMgGtTpP ")
    suffix = text[len(number) :].strip().lower()
    power = "bkmgtp".find(suffix[:1]) if suffix else 0
    if power < 0 or suffix[1:] not in (("",) if suffix.startswith("b") else ("", "b", "ib")):
        raise InvalidArgument(f"invalid suffix: '{suffix}'")
    try:
        value = float(number)
    except ValueError:
        raise InvalidArgument(f"invalid size: '{text}'") from None
    if value < 0 and (value != -1 or suffix):
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(value * 1024**power)


def human_duration(seconds: float) -> str:
    """Return an age in words, as `docker ps` shows it."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < MINUTE:
        return f"{whole} seconds"
    if whole < HOUR:
        return "About a minute" if whole < 2 * MINUTE else f"{whole // MINUTE} minutes"
    hours = int(seconds / HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for unit, length, until in (("hours", 1, 48), ("days", 24, 336), ("weeks", 168, 1440), ("months", 720, 17520)):
        if hours < until:
            return f"{hours // length} {unit}"
    return f"{whole // DAY // 365} years"


def age(created: float, now: float | None = None) -> str:
    """Return how long ago `created` (seconds since 1970) was."""
    import time

    return human_duration((time.time() if now is None else now) - created) + " ago"


def _scaled(size: float, base: int, names: tuple[str, ...], precision: int) -> str:
    index = 0
    while size >= base and index < len(names) - 1:
        size /= base
        index += 1
    return f"{size:.{precision}g}{names[index]}"
