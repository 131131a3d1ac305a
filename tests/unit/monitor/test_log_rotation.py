"""Rotation of a log, with crashes at each of its steps, and what readers see of it."""

from __future__ import annotations

import os

import pytest

from sampan.monitor import rotate
from sampan.monitor.compress import compress
from sampan.monitor.logfile import LogFile
from sampan.monitor.logs.reader import LogReader
from sampan.monitor.logs.render import LogQuery


class Compressor:
    """Compresses when told to, or not at all."""

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once
        self.waiting: list[str] = []

    def compress(self, path: str) -> None:
        if self.at_once:
            compress(path)
        else:
            self.waiting.append(path)

    def is_compressing(self, path: str) -> bool:
        return path in self.waiting

    def finish(self) -> None:
        while self.waiting:
            compress(self.waiting.pop())


def options(path, **more):
    return {"driver": "json-file", "path": str(path), "max_size": 1000, "max_file": 4, "compress": False, **more}


def fill(log: LogFile, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.next_chunk(1 << 16)
        log.append(b"%d\n" % number, 1, number)


def read(path, **query) -> list[int]:
    reader = LogReader(path, "json-file", LogQuery(raw=True, **query))
    parts = []
    while (batch := reader.read()) is not None:
        parts.append(batch)
    reader.close()
    return [int(line) for line in b"".join(parts).split()]


@pytest.mark.parametrize("packed", [False, True])
def test_the_newest_files_are_kept_and_read(tmp_path, packed):
    path = tmp_path / "log"
    log = LogFile(options(path, compress=packed), Compressor(at_once=True))
    fill(log, 0, 200)
    end = ".gz" if packed else ""
    assert {file.name for file in tmp_path.iterdir()} == {"log", f"log.1{end}", f"log.2{end}", f"log.3{end}"}
    kept = read(path)
    assert kept == list(range(kept[0], 200)) and len(kept) > 30
    assert read(path, tail=20) == list(range(180, 200))
    assert path.stat().st_size < 1100


def test_one_file_alone_starts_afresh(tmp_path):
    path = tmp_path / "log"
    log = LogFile(options(path, max_file=1), Compressor(at_once=True))
    fill(log, 0, 100)
    assert [file.name for file in tmp_path.iterdir()] == ["log"]
    assert read(path)[-1] == 99


def test_no_limit_no_rotation(tmp_path):
    log = LogFile(options(tmp_path / "log", max_size=0), Compressor(at_once=True))
    fill(log, 0, 100)
    assert [file.name for file in tmp_path.iterdir()] == ["log"]
    assert log.next_chunk(12345) == 12345


def test_the_log_grows_while_a_file_is_compressed(tmp_path):
    path = tmp_path / "log"
    compressor = Compressor(at_once=False)
    log = LogFile(options(path, compress=True), compressor)
    fill(log, 0, 100)
    assert path.stat().st_size > 3000 and compressor.waiting == [f"{path}.1"]
    compressor.finish()
    fill(log, 100, 1)
    assert path.stat().st_size < 1000
    assert read(path) == list(range(101))


def test_a_successor_compresses_what_was_left(tmp_path):
    path = tmp_path / "log"
    log = LogFile(options(path, compress=True), Compressor(at_once=False))
    fill(log, 0, 30)
    (tmp_path / "log.1.gz.new").write_bytes(b"half")
    log.close()
    LogFile(options(path, compress=True), Compressor(at_once=True))
    assert {file.name for file in tmp_path.iterdir()} == {"log", "log.1.gz"}
    assert read(path) == list(range(30))


class Crash(Exception):
    """Stands for a SIGKILL."""


@pytest.mark.parametrize("step", range(5))
def test_a_crash_at_any_step_loses_nothing_that_is_to_be_kept(tmp_path, monkeypatch, step):
    path = tmp_path / "log"
    log = LogFile(options(path), Compressor(at_once=True))
    number = 0
    while not (tmp_path / "log.3").exists() or log.size < 1000:
        fill(log, number, 1)
        number += 1
    expected = [each for each in read(path) if each not in read(tmp_path / "log.3")]
    left = step

    def dying(call):
        def wrapped(*args):
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            return call(*args)

        return wrapped

    monkeypatch.setattr(rotate, "remove_file", dying(rotate.remove_file))
    monkeypatch.setattr(rotate.os, "rename", dying(os.rename))
    with pytest.raises(Crash):
        log.next_chunk(1 << 16)
    monkeypatch.undo()
    log.close()
    successor = LogFile(options(path), Compressor(at_once=True))
    fill(successor, number, 1)
    assert read(path)[-len(expected) - 1 :] == [*expected, number]


def test_a_reader_finds_its_place_again_after_compression(tmp_path):
    path = tmp_path / "log"
    log = LogFile(options(path, compress=True, max_file=8), Compressor(at_once=True))
    fill(log, 0, 1)
    reader = LogReader(path, "json-file", LogQuery(raw=True, follow=True))
    seen = bytearray()
    for number in range(1, 60):
        fill(log, number, 1)
        if number % 17 == 0:
            while (batch := reader.read()) is not None or reader.advance():
                seen += batch or b""
    while (batch := reader.read()) is not None or reader.advance():
        seen += batch or b""
    assert [int(line) for line in seen.split()] == list(range(60))


def test_a_full_disk_leaves_whole_records(tmp_path, monkeypatch):
    path = tmp_path / "log"
    log = LogFile(options(path), Compressor(at_once=True))
    fill(log, 0, 3)
    real = os.writev

    def short(descriptor, pieces):
        monkeypatch.setattr(os, "writev", full)
        return real(descriptor, [b"".join(pieces)[:10]])

    def full(descriptor, pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", short)
    with pytest.raises(OSError, match="No space"):
        log.append(b"lost\n", 1, 9)
    monkeypatch.undo()
    fill(log, 4, 1)
    assert read(path) == [0, 1, 2, 4]


@pytest.mark.parametrize("written", [0, 1, 20, 75, 76, 200])
def test_a_chunk_that_was_cut_short_is_completed_once(tmp_path, written):
    """A successor writes what the log lacks of the chunk in transit, however much was written."""
    path = tmp_path / "log"
    log = LogFile(options(path), Compressor(at_once=True))
    log.append(b"before\n", 1, 1)
    start = log.size
    chunk = b"one\ntwo\nthree\n"
    log.append(chunk, 2, 7)
    whole = path.read_bytes()
    os.truncate(path, min(start + written, len(whole)))
    log.close()
    successor = LogFile(options(path), Compressor(at_once=True))
    lacked = successor.complete(chunk, 2, 7, start)
    assert path.read_bytes() == whole
    assert lacked == (start + written < len(whole))
