"""Output on its way, and monitors that die at every step of it: nothing is lost, nothing comes twice."""

from __future__ import annotations

import os
import pty
import tty

import pytest

from sampan.kernel import syscalls
from sampan.monitor.logfile import LogFile
from sampan.monitor.logs.reader import LogReader
from sampan.monitor.logs.render import LogQuery
from sampan.monitor.transit import Transit

OUTPUT = b"first line\nsecond line\nan unfinished " + b"\xc3\xa9" * 3
MORE = b"end\nlast\n"


class NoCompressor:
    def compress(self, path: str) -> None: ...

    def is_compressing(self, path: str) -> bool:
        return False


def open_log(path, driver: str) -> LogFile:
    return LogFile({"driver": driver, "path": str(path), "max_size": 0}, NoCompressor())


def read_log(path, driver: str) -> bytes:
    reader = LogReader(path, driver, LogQuery(raw=True))
    parts = []
    while (batch := reader.read()) is not None:
        parts.append(batch)
    reader.close()
    return b"".join(parts)


def move_all(transit: Transit, terminal: bool, source: int, log: LogFile, sink) -> None:
    move = transit.move_from_terminal if terminal else transit.move_from_pipe
    try:
        while move(source, 1, "box", log, sink):
            pass
    except BlockingIOError:
        pass


def die_at(step: int) -> None:
    """Let this process end as by SIGKILL when it comes to its `step`-th system call of the output path."""
    left = step

    def dying(call):
        def wrapped(*args, **options):
            nonlocal left
            if left == 0:
                os._exit(1)
            left -= 1
            return call(*args, **options)

        return wrapped

    for name in ("pwrite", "splice", "read", "writev"):
        setattr(os, name, dying(getattr(os, name)))
    syscalls.tee = dying(syscalls.tee)


def make_source(terminal: bool) -> tuple[int, int]:
    if not terminal:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        return reader, writer
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_death_at_any_step(tmp_path, driver, terminal):
    survived = step = 0
    while not survived:
        log_path = tmp_path / f"{step}.log"
        transit = Transit.create(str(tmp_path / f"{step}.progress"))
        source, writer = make_source(terminal)
        os.write(writer, OUTPUT)
        child = os.fork()
        if child == 0:
            die_at(step)
            move_all(transit, terminal, source, open_log(log_path, driver), lambda data: None)
            os._exit(0)
        survived = os.waitpid(child, 0)[1] == 0

        os.write(writer, MORE)
        successor = Transit.create(str(tmp_path / f"{step}.other"))
        successor.replace({name: os.dup(descriptor) for name, descriptor in transit.files.items()})
        log = open_log(log_path, driver)
        successor.recover(log, lambda stream, data: None)
        move_all(successor, terminal, source, log, lambda data: None)
        assert read_log(log_path, driver) == OUTPUT + MORE, f"died at step {step}"
        for descriptor in (source, writer, *transit.files.values(), *successor.files.values()):
            os.close(descriptor)
        step += 1
    assert step > 8


def test_a_chunk_goes_to_the_sink_and_a_pipe_ends(tmp_path):
    transit = Transit.create(str(tmp_path / "progress"))
    source, writer = make_source(terminal=False)
    os.write(writer, b"a\nb\nrest")
    log = open_log(tmp_path / "log", "local")
    got = []
    assert transit.move_from_pipe(source, 2, "box", log, got.append)
    assert transit.move_from_pipe(source, 2, "box", log, got.append)
    with pytest.raises(BlockingIOError):
        transit.move_from_pipe(source, 2, "box", log, got.append)
    os.close(writer)
    assert not transit.move_from_pipe(source, 2, "box", log, got.append)
    assert got == [b"a\nb\n", b"rest"]


def test_output_that_the_log_can_not_take_still_reaches_the_clients_and_leaves_the_transit(tmp_path, monkeypatch):
    transit = Transit.create(str(tmp_path / "progress"))
    source, writer = make_source(terminal=False)
    log = open_log(tmp_path / "log", "json-file")
    got = []

    def full(descriptor, pieces):
        raise OSError(28, "No space left on device")

    os.write(writer, b"lost\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(OSError, match="No space"):
            transit.move_from_pipe(source, 1, "box", log, got.append)
    assert transit.intent() is None
    os.write(writer, b"kept\n")
    transit.move_from_pipe(source, 1, "box", log, got.append)
    assert got == [b"lost\n", b"kept\n"]
    assert read_log(tmp_path / "log", "json-file") == b"kept\n"
