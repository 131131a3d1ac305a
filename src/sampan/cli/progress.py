"""The progress of pulls, pushes and loads: a line per thing on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys

from sampan.cli.render.units import human_size
from sampan.client.blocking import iterate
from sampan.errors import Upstream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from sampan.client.session import Response
    from sampan.wire.progress import ProgressDetail, ProgressMessage

BAR = 50


def show(response: Response, out: TextIO | None = None, quiet: bool = False) -> list[object]:
    """Show the messages of `response` as they come; return their `aux` values. Raises Upstream for its error."""
    from sampan.wire import codec
    from sampan.wire.progress import ProgressMessage

    out = out or sys.stdout
    screen = _Screen(out) if os.isatty(out.fileno()) else None
    extras: list[object] = []
    for line in iterate(response.lines()):
        message = codec.decode(line, ProgressMessage)
        if message.error_detail or message.error:
            raise Upstream(message.error_detail.message if message.error_detail else message.error)
        if message.aux is not None:
            extras.append(message.aux)
        elif not quiet:
            screen.update(message) if screen else _plain(out, message)
    return extras


def _plain(out: TextIO, message: ProgressMessage) -> None:
    if message.stream:
        out.write(message.stream)
    elif message.status and not (message.progress_detail and _amount(message.progress_detail)):
        out.write(f"{message.id}: {message.status}\n" if message.id else f"{message.status}\n")
    out.flush()


class _Screen:
    """Keeps a line for each id and rewrites it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: dict[str, int] = {}

    def update(self, message: ProgressMessage) -> None:
        if message.stream:
            self._out.write(message.stream)
            self._lines.clear()
        elif not message.id:
            self._out.write(message.status + "\n")
            self._lines.clear()
        else:
            self._line(message.id, f"{message.id}: {message.status} {_bar(message.progress_detail)}".rstrip())
        self._out.flush()

    def _line(self, id: str, text: str) -> None:
        if id not in self._lines:
            self._lines[id] = len(self._lines)
            self._out.write(text + "\n")
            return
        up = len(self._lines) - self._lines[id]
        self._out.write(f"\x1b[{up}A\x1b[2K\r{text}\r\x1b[{up}B")


def _bar(detail: ProgressDetail | None) -> str:
    if detail is None or not _amount(detail):
        return ""
    if detail.total <= 0:
        return human_size(detail.current)
    done = min(BAR, detail.current * BAR // detail.total)
    filled = "=" * max(done - 1, 0) + (">" if done else "")
    return f"[{filled.ljust(BAR)}] {human_size(detail.current):>8}/{human_size(detail.total)}"


def _amount(detail: ProgressDetail) -> bool:
    return detail.current > 0 or detail.total > 0
