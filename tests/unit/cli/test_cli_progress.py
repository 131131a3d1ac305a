"""Progress of pulls and loads: plain lines, and lines rewritten on a terminal."""

from __future__ import annotations

import io
import json
import os

import pytest

from sampan.cli import progress
from sampan.errors import Upstream
from sampan.wire.progress import ProgressDetail

PULL = [
    {"status": "Pulling from library/busybox", "id": "latest"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "aaa"},
    {"status": "Downloading", "progressDetail": {"current": 500, "total": 1000}, "id": "aaa"},
    {"status": "Pull complete", "progressDetail": {}, "id": "aaa"},
    {"status": "Status: Downloaded newer image"},
]


class Answer:
    def __init__(self, *messages: object) -> None:
        self.messages = messages

    async def lines(self):
        for message in self.messages:
            yield json.dumps(message).encode()


class File(io.StringIO):
    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


@pytest.fixture
def plain():
    fd = os.open(os.devnull, os.O_WRONLY)
    yield File(fd)
    os.close(fd)


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    yield File(slave)
    os.close(master)
    os.close(slave)


def test_lines_without_a_terminal(plain):
    progress.show(Answer(*PULL), plain)
    assert plain.getvalue().splitlines() == [
        "latest: Pulling from library/busybox",
        "aaa: Pulling fs layer",
        "aaa: Pull complete",
        "Status: Downloaded newer image",
    ]


def test_quiet_says_nothing(plain):
    progress.show(Answer(*PULL), plain, quiet=True)
    assert plain.getvalue() == ""


def test_lines_are_rewritten_on_a_terminal(terminal):
    progress.show(Answer(*PULL), terminal)
    shown = terminal.getvalue()
    assert shown.startswith(
        "latest: Pulling from library/busybox\naaa: Pulling fs layer\n\x1b[1A\x1b[2K\raaa: Downloading ["
    )
    assert "=>" in shown and "500B/1kB" in shown
    assert shown.endswith("\x1b[1A\x1b[2K\raaa: Pull complete\r\x1b[1BStatus: Downloaded newer image\n")


def test_streams_pass_as_they_are_and_extras_are_returned(plain):
    extras = progress.show(Answer({"stream": "Step 1\n"}, {"aux": {"ID": "x"}}, {"stream": "Done"}), plain)
    assert (plain.getvalue(), extras) == ("Step 1\nDone", [{"ID": "x"}])


@pytest.mark.parametrize("message", [{"error": "no space"}, {"errorDetail": {"message": "no space"}, "error": "x"}])
def test_an_error_in_the_stream_is_raised(plain, message):
    with pytest.raises(Upstream, match="no space"):
        progress.show(Answer({"stream": "a\n"}, message), plain)
    assert plain.getvalue() == "a\n"


@pytest.mark.parametrize(
    ("current", "total", "start"),
    [(0, 100, "[ "), (1, 100, "[ "), (50, 100, "[" + "=" * 24 + ">"), (100, 100, "[" + "=" * 49 + ">]"), (7, 0, "7B")],
)
def test_bars(current, total, start):
    assert progress._bar(ProgressDetail(current=current, total=total)).startswith(start)
