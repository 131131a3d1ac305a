"""The JSON lines that long image operations answer with (Engine API, CreateImageInfo)."""

from __future__ import annotations

from sampan.wire import codec
from sampan.wire.progress import ErrorDetail, ProgressDetail, ProgressMessage

__all__ = ["advance", "bar", "failed", "human_size", "layer", "status", "stream"]

_WIDTH = 50
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def stream(text: str) -> bytes:
    """A line of text for the person."""
    return _line(ProgressMessage(stream=text))


def status(text: str, layer: str = "") -> bytes:
    """A state of the whole or of one layer (its short id)."""
    return _line(ProgressMessage(status=text, id=layer))


def layer(text: str, identity: str) -> bytes:
    """A state of one layer, with the empty detail that docker sends along."""
    return _line(ProgressMessage(status=text, progress_detail=ProgressDetail(), id=identity))


def advance(text: str, layer: str, current: int, total: int) -> bytes:
    """How far a layer is, in bytes."""
    detail = ProgressDetail(current=current, total=total)
    return _line(ProgressMessage(status=text, progress_detail=detail, progress=bar(current, total), id=layer))


def failed(error: Exception) -> bytes:
    """The last line of an operation that failed after its answer had begun."""
    return _line(ProgressMessage(error=str(error), error_detail=ErrorDetail(message=str(error))))


def bar(current: int, total: int) -> str:
    """Docker's progress bar in text: `[====>    ]  1.2kB/10kB`."""
    if not total or current > total:
        return f"{human_size(current):>8}" if current else ""
    done = current * 100 // total // 2
    return f"[{'=' * done}>{' ' * (_WIDTH - done)}] {human_size(current):>8}/{human_size(total)}"


def human_size(size: float) -> str:
    """Four digits and a decimal unit."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.4g}{_UNITS[unit]}"


def _line(message: ProgressMessage) -> bytes:
    return codec.encode(message) + b"\r\n"
