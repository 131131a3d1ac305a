"""Reading logs back: queries, rotated and compressed files, following."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.monitor.encode import FRAME, encoder
from sampan.monitor.logs import LogQuery, open_logs
from sampan.monitor.logs.reader import LogReader

DRIVERS = pytest.mark.parametrize("driver", ["json-file", "local"])


def write(path: Path, driver: str, *chunks: tuple[int, bytes, int]) -> None:
    with path.open("ab") as file:
        for stream, data, time_ns in chunks:
            file.writelines(encoder(driver)(data, stream, time_ns))


def compress(path: Path) -> None:
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def read(path: Path, driver: str, **query) -> bytes:
    reader = LogReader(path, driver, LogQuery(**{"raw": True} | query))
    parts = []
    while (batch := reader.read()) is not None:
        parts.append(batch)
    reader.close()
    return b"".join(parts)


@DRIVERS
def test_rotated_and_compressed_files_are_read_in_order(tmp_path, driver):
    log = tmp_path / "log"
    for number, name in enumerate(["log.3", "log.2", "log.1", "log"]):
        write(tmp_path / name, driver, (1, b"%d\n" % number, number))
    compress(tmp_path / "log.3")
    compress(tmp_path / "log.2")
    assert read(log, driver) == b"0\n1\n2\n3\n"
    assert read(log, driver, tail=2) == b"2\n3\n"
    assert read(log, driver, tail=3) == b"1\n2\n3\n"
    assert read(log, driver, since_ns=2) == b"2\n3\n"
    assert read(log, driver, until_ns=1) == b"0\n1\n"


@DRIVERS
@pytest.mark.parametrize("tail", [None, 0, 1, 2])
def test_what_comes_after_the_question_is_for_followers_only(tmp_path, driver, tail):
    log = tmp_path / "log"
    write(log, driver, (1, b"a\n", 1), (1, b"b\n", 2))
    before = b"a\nb\n"[4 - 2 * (2 if tail is None else tail) :]
    for follow, after in ((False, b""), (True, b"c\n")):
        reader = LogReader(log, driver, LogQuery(raw=True, tail=tail, follow=follow))
        whole = log.read_bytes()
        write(tmp_path / "more", driver, (1, b"c\n", 3))
        with log.open("ab") as file:
            file.write((tmp_path / "more").read_bytes())
        parts = list(iter(reader.read, None))
        reader.close()
        assert b"".join(parts) == before + after
        log.write_bytes(whole)
        (tmp_path / "more").unlink()


@DRIVERS
def test_streams_and_frames(tmp_path, driver):
    log = tmp_path / "log"
    write(log, driver, (1, b"a\n\nb\n", 1), (2, b"c\n", 3), (1, b"d", 4))
    assert read(log, driver, stderr=False) == b"a\n\nb\nd"
    lines = [(1, b"a\n"), (1, b"\n"), (1, b"b\n"), (2, b"c\n"), (1, b"d")]
    assert read(log, driver, raw=False) == b"".join(FRAME.pack(stream, len(line)) + line for stream, line in lines)


@DRIVERS
def test_timestamps_stand_before_lines_not_before_their_continuations(tmp_path, driver):
    log = tmp_path / "log"
    write(log, driver, (1, b"a\nb", 1), (1, b"c\n", 2))
    stamp = b"1970-01-01T00:00:00.000000001Z "
    assert read(log, driver, timestamps=True) == stamp + b"a\n" + stamp + b"bc\n"


def test_details_are_the_attributes(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(encoder("json-file", {"b": "2 x", "a": "1"})(b"text\n", 1, 1)))
    assert read(log, "json-file", details=True) == b"a=1,b=2+x text\n"


@DRIVERS
@settings(deadline=None)
@given(
    parts=st.lists(st.text("ab\n", min_size=1, max_size=8).map(str.encode), max_size=15),
    tail=st.integers(0, 12),
    files=st.integers(1, 3),
)
def test_tail_gives_the_last_lines(tmp_path_factory, driver, parts, tail, files):
    log = tmp_path_factory.mktemp("tail") / "log"
    for index, part in enumerate(parts):
        number = files - 1 - index * files // len(parts)
        write(Path(f"{log}.{number}") if number else log, driver, (1, part, index))
    lines = b"".join(parts).splitlines(keepends=True)
    assert read(log, driver, tail=tail) == b"".join(lines[len(lines) - min(tail, len(lines)) :])


def test_a_damaged_compressed_file_gives_what_is_whole(tmp_path):
    log = tmp_path / "log"
    write(tmp_path / "log.1", "json-file", *((1, b"%d\n" % number, number) for number in range(50_000)))
    compress(tmp_path / "log.1")
    packed = tmp_path / "log.1.gz"
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    write(log, "json-file", (1, b"end\n", 9))
    lines = read(log, "json-file").split()
    assert lines[-1] == b"end" and lines[:-1] == [b"%d" % number for number in range(len(lines) - 1)]


def test_no_log_is_an_empty_log(tmp_path):
    assert read(tmp_path / "none", "json-file", tail=3) == b""


def test_reads_what_dockerd_writes(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        '{"log":"one \\u003c\\"\\\\n\\n","stream":"stdout","time":"2026-11-25T13:30:50.5Z"}\n'
        '{"log":"par","stream":"stderr","time":"2026-11-25T13:30:51Z"}\n'
        '{"log":"tial\\n","stream":"stderr","time":"2026-11-25T13:30:51.25Z"}\n'
    )
    assert read(log, "json-file") == b'one <"\\n\npartial\n'
    assert read(log, "json-file", tail=1) == b"partial\n"


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0.001)


@DRIVERS
async def test_following_goes_through_rotations_to_the_end(tmp_path, driver):
    log = tmp_path / "log"
    write(log, driver, (1, b"0\n", 0))
    ended = asyncio.Event()
    seen = bytearray()

    async def follow():
        async for batch in open_logs(log, driver, LogQuery(follow=True, raw=True), ended):
            seen.extend(batch)

    following = asyncio.create_task(follow())
    expected = b"0\n"
    for number in range(1, 40):
        line = b"%d\n" % number
        if number % 5 == 0:
            if (tmp_path / "log.1").exists():
                (tmp_path / "log.1").rename(tmp_path / "log.2")
            log.rename(tmp_path / "log.1")
        write(log, driver, (1, line, number))
        expected += line
        await until(lambda line=line: seen.endswith(line))
    write(log, driver, (1, b"last\n", 99))
    ended.set()
    await following
    assert bytes(seen) == expected + b"last\n"


async def test_following_waits_for_a_log_to_appear(tmp_path):
    log = tmp_path / "log"
    ended = asyncio.Event()
    stream = open_logs(log, "local", LogQuery(follow=True, raw=True), ended)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    write(log, "local", (1, b"hello\n", 1))
    assert await first == b"hello\n"
    ended.set()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_following_with_tail_zero_gives_only_news(tmp_path):
    log = tmp_path / "log"
    write(log, "json-file", (1, b"old\n", 1))
    ended = asyncio.Event()
    stream = open_logs(log, "json-file", LogQuery(follow=True, raw=True, tail=0), ended)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    write(log, "json-file", (1, b"new\n", 2))
    assert await first == b"new\n"
    ended.set()
    await stream.aclose()


async def test_following_a_removed_log_ends(tmp_path):
    stream = open_logs(tmp_path / "gone/log", "json-file", LogQuery(follow=True), asyncio.Event())
    assert [batch async for batch in stream] == []
