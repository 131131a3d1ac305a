from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys

import pytest

from sampan.errors import InvalidArgument
from sampan.images.changes import apply_changes
from sampan.images.progress import bar, human_size
from sampan.images.streams import compression_of, decompressed, storable
from sampan.oci.documents import Healthcheck, RunConfig

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('CMD ["a", "b"]', {"cmd": ["a", "b"]}),
        ("CMD a b", {"cmd": ["/bin/sh", "-c", "a b"]}),
        ("CMD [", {"cmd": ["/bin/sh", "-c", "["]}),
        ('entrypoint ["x"]', {"entrypoint": ["x"]}),
        ("ENV A=1 B='x y'", {"env": ["OLD=1", "A=1", "B=x y"]}),
        ("ENV A some text", {"env": ["OLD=1", "A=some text"]}),
        ("ENV OLD=2", {"env": ["OLD=2"]}),
        ("ENV OLD=/x:$OLD", {"env": ["OLD=/x:1"]}),
        ("ENV A=${OLD}2 B=${NO:-word} C=${OLD:+yes}", {"env": ["OLD=1", "A=12", "B=word", "C=yes"]}),
        ("ENV A='$OLD' B=\\$OLD C=\"$OLD '$OLD'\"", {"env": ["OLD=1", "A=$OLD", "B=$OLD", "C=1 '1'"]}),
        ("CMD echo $OLD", {"cmd": ["/bin/sh", "-c", "echo $OLD"]}),
        ("USER u$OLD", {"user": "u1"}),
        ("EXPOSE 80 53/udp 90-91", {"exposed_ports": {"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/tcp": {}}}),
        ('LABEL a=b "c d"="e f"', {"labels": {"a": "b", "c d": "e f"}}),
        ("USER me:us", {"user": "me:us"}),
        ("VOLUME /a /b", {"volumes": {"/a": {}, "/b": {}}}),
        ('VOLUME ["/a b"]', {"volumes": {"/a b": {}}}),
        ("WORKDIR sub/../dir", {"working_dir": "/w/dir"}),
        ("WORKDIR /abs", {"working_dir": "/abs"}),
        ("STOPSIGNAL SIGUSR1", {"stop_signal": "SIGUSR1"}),
        ("ONBUILD RUN x", {"on_build": ["RUN x"]}),
        ("HEALTHCHECK NONE", {"healthcheck": Healthcheck(test=["NONE"])}),
        (
            "HEALTHCHECK --interval=5s --retries=3 CMD curl x",
            {"healthcheck": Healthcheck(test=["CMD-SHELL", "curl x"], interval=5 * 10**9, retries=3)},
        ),
    ],
)
def test_instructions(line, expected):
    changed = apply_changes(RunConfig(env=["OLD=1"], working_dir="/w"), [line])
    assert {name: getattr(changed, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RUN x", "RUN is not a valid change command"),
        ("FROM x", "FROM is not a valid change command"),
        ("foo", "foo is not a valid change command"),
        ("CMD", "requires at least one argument"),
        ("ENV A", "must have two arguments"),
        ("ENV A=1 B", "can't find = in"),
        ("LABEL 'x", "LABEL"),
        ("EXPOSE abc", "Invalid containerPort: abc"),
        ("EXPOSE 99999", "Invalid containerPort: 99999"),
        ("HEALTHCHECK CMD", "Unknown type"),
        ("HEALTHCHECK --foo=1 CMD x", "unknown flag: --foo"),
    ],
)
def test_what_is_no_change_is_refused(line, message):
    with pytest.raises(InvalidArgument, match=message):
        apply_changes(RunConfig(), [line])


def test_a_change_may_have_several_lines():
    found = apply_changes(RunConfig(), ['EXPOSE 8000\n\n# why\nCMD ["py"]', "LABEL a=1 \\\n b=2"])
    assert (found.exposed_ports, found.cmd, found.labels) == ({"8000/tcp": {}}, ["py"], {"a": "1", "b": "2"})


def test_a_value_with_spaces_stays_one_word():
    found = apply_changes(RunConfig(env=["A=x 'y\" z"]), ["ENV B=$A C=1", 'LABEL l="$A"', "WORKDIR /$A"])
    assert found.env == ["A=x 'y\" z", "B=x 'y\" z", "C=1"]
    assert found.labels == {"l": "x 'y\" z"}
    assert found.working_dir == "/x 'y\" z"


def test_the_old_config_stays_as_it_was():
    old = RunConfig(env=["A=1"], labels={"a": "b"})
    apply_changes(old, ["ENV A=2", "LABEL c=d"])
    assert old == RunConfig(env=["A=1"], labels={"a": "b"})


# Streams

PACKERS = {"gzip": gzip.compress, "zstd": zstd.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def stream(content, chunk):
    pieces = (content[start : start + chunk] for start in range(0, len(content), chunk))
    return lambda: next(pieces, b"")


def whole(more):
    return b"".join(iter(more, b""))


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("name", sorted(PACKERS))
def test_streams_of_one_and_of_several_members(name, chunk):
    plain = random.Random(1).randbytes(3000) + b"text " * 5000
    pack = PACKERS[name]
    assert compression_of(pack(plain)) == name
    assert whole(decompressed(stream(pack(plain), chunk))) == plain
    several = pack(plain[:100]) + pack(b"") + pack(plain[100:])
    assert whole(decompressed(stream(several, chunk))) == plain


def test_bombs_come_out_in_pieces():
    more = decompressed(stream(gzip.compress(bytes(50 << 20)), 1 << 16))
    sizes = [len(piece) for piece in iter(more, b"")]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= 2 << 20


def test_skippable_frames_and_zero_padding():
    frame = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert whole(decompressed(stream(frame + zstd.compress(b"x") + frame, 3))) == b"x"
    assert whole(decompressed(stream(gzip.compress(b"x") + bytes(500), 100))) == b"x"


def test_plain_streams_pass_as_they_are():
    for plain in (b"", b"x", b"plain text" * 1000):
        assert whole(decompressed(stream(plain, 3))) == plain


@pytest.mark.parametrize("name", sorted(PACKERS))
def test_cut_and_damaged_streams_are_refused(name):
    packed = bytearray(PACKERS[name](random.Random(2).randbytes(5000)))
    with pytest.raises(InvalidArgument, match="unexpected EOF"):
        whole(decompressed(stream(bytes(packed[:-3]), 100)))
    # zstd has no checksum of its own: damage its structure, and the others' content.
    packed[5 if name == "zstd" else len(packed) // 2] ^= 0xFF
    packed[-6] ^= 0xFF
    with pytest.raises(InvalidArgument):
        whole(decompressed(stream(bytes(packed), 100)))
    with pytest.raises(InvalidArgument):
        whole(decompressed(stream(PACKERS[name](b"x") + b"trailing garbage", 100)))


@pytest.mark.parametrize(("name", "stored"), [("gzip", "gzip"), ("zstd", "zstd"), ("bzip2", ""), ("xz", "")])
def test_layers_are_stored_as_they_came_where_that_has_a_name(name, stored):
    packed = PACKERS[name](b"content")
    compression, more = storable(stream(packed, 4))
    assert compression == stored
    assert whole(more) == (packed if stored else b"content")


# Progress


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (10240, "10.24kB"), (2140160, "2.14MB"), (3 * 10**9, "3GB")],
)
def test_sizes_for_people(size, shown):
    assert human_size(size) == shown


def test_bars():
    assert bar(10240, 10240) == "[" + "=" * 50 + ">]  10.24kB/10.24kB"
    assert bar(5000, 10000) == "[" + "=" * 25 + ">" + " " * 25 + "]      5kB/10kB"
    assert bar(7, 0) == "      7B"
    assert bar(0, 0) == ""
