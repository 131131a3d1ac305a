"""Reading and writing tar against two oracles: Python's tarfile and GNU tar."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import InvalidArgument
from sampan.oci import tarwrite
from sampan.oci.bytesource import ByteSource, UnexpectedEnd
from sampan.oci.tar import Entry, Kind, TarReader, looks_like_tar

KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHAR,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.FIFOTYPE: Kind.FIFO,
}


def source(content, chunk=1 << 20):
    pieces = (content[start : start + chunk] for start in range(0, len(content), chunk))
    return ByteSource(lambda: next(pieces, b""))


def read(content, chunk=1 << 20):
    """Every entry with its file's bytes, holes filled with zeros."""
    reader = TarReader(source(content, chunk))
    found = []
    for entry in reader:
        data = bytearray(entry.size)
        for offset, piece in reader.payload():
            data[offset : offset + len(piece)] = piece
        found.append((entry, bytes(data)))
    return found


def archive(members, form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


part = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda text: text not in (".", "..")
)
name = st.lists(part, min_size=1, max_size=5).map("/".join)


@st.composite
def members(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    data = draw(st.binary(max_size=2000)) if kind == tarfile.REGTYPE else b""
    info, _ = member(draw(name), kind, data)
    info.mode = draw(st.integers(0, 0o7777))
    info.uid, info.gid = draw(st.integers(0, 2**32 - 2)), draw(st.integers(0, 2**32 - 2))
    info.mtime = draw(st.integers(-(2**31), 2**40))
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = draw(name)
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
    return info, data


def same(entry, info, data, read_data):
    assert entry.kind == KINDS[info.type]
    assert entry.name.rstrip("/") == info.name
    assert (entry.mode, entry.uid, entry.gid) == (info.mode, info.uid, info.gid)
    assert entry.mtime == info.mtime * 10**9
    assert entry.link == info.linkname
    assert (entry.major, entry.minor) == (info.devmajor, info.devminor)
    assert read_data == data


@given(st.lists(members(), max_size=5), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), st.integers(1, 3000))
@settings(max_examples=150, deadline=None)
def test_what_tarfile_writes_is_read_the_same(listed, form, chunk):
    found = read(archive(listed, form), chunk)
    assert len(found) == len(listed)
    for (entry, data), (info, wanted) in zip(found, listed, strict=True):
        same(entry, info, wanted, data)


@given(st.lists(members(), max_size=5))
@settings(max_examples=150, deadline=None)
def test_what_we_write_tarfile_reads_the_same(listed):
    raw = b""
    for info, data in listed:
        entry = Entry(
            info.name,
            KINDS[info.type],
            info.mode,
            info.uid,
            info.gid,
            len(data),
            info.mtime * 10**9,
            info.linkname,
            info.devmajor,
            info.devminor,
        )
        raw += tarwrite.head(entry) + data + tarwrite.padding(len(data))
    with tarfile.open(fileobj=io.BytesIO(raw + tarwrite.END)) as tar:
        found = tar.getmembers()
        assert len(found) == len(listed)
        for got, (info, data) in zip(found, listed, strict=True):
            assert (got.name.rstrip("/"), got.type, got.mode) == (info.name.rstrip("/"), info.type, info.mode)
            assert (got.uid, got.gid, int(got.mtime)) == (info.uid, info.gid, info.mtime)
            assert (got.linkname, got.devmajor, got.devminor) == (info.linkname, info.devmajor, info.devminor)
            if info.type == tarfile.REGTYPE:
                assert tar.extractfile(got).read() == data


def test_ustar_prefixes_and_old_v7_directories_are_understood():
    long = "a" * 90 + "/" + "b" * 90
    assert read(archive([member(long, data=b"x")], tarfile.USTAR_FORMAT))[0][0].name == long
    raw = bytearray(archive([member("old", data=b"")], tarfile.USTAR_FORMAT))
    raw[:4] = b"old/"
    raw[156:157] = b"\0"
    raw[257:265] = bytes(8)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    assert read(bytes(raw))[0][0].kind == Kind.DIRECTORY


def test_pax_times_and_attributes():
    info, data = member("a", data=b"x", pax_headers={"mtime": "1.25", "SCHILY.xattr.user.k": "v\nw"})
    entry = read(archive([(info, data)]))[0][0]
    assert entry.mtime == 1_250_000_000
    assert entry.xattrs == {"user.k": b"v\nw"}
    negative, _ = member("a", pax_headers={"mtime": "-1.5"})
    assert read(archive([(negative, b"")]))[0][0].mtime == -1_500_000_000


def test_attributes_survive_our_own_writing():
    entry = Entry("a", Kind.FILE, 0o644, 0, 0, 0, 0, xattrs={"security.capability": bytes(range(256))})
    assert read(tarwrite.head(entry) + tarwrite.END)[0][0].xattrs == entry.xattrs


def test_global_headers_hold_for_all_that_follow():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"mtime": "77"}) as tar:
        for text in ("a", "b"):
            tar.addfile(tarfile.TarInfo(text))
    assert [entry.mtime for entry, _ in read(buffer.getvalue())] == [77 * 10**9] * 2


@pytest.mark.skipif(shutil.which("tar") is None, reason="GNU tar is not installed")
@pytest.mark.parametrize("options", [["gnu"], ["pax", "0.0"], ["pax", "0.1"], ["pax", "1.0"]])
@pytest.mark.parametrize("parts", [0, 1, 3, 40])
def test_sparse_files_of_gnu_tar(tmp_path, options, parts):
    path = tmp_path / ("sparse" * 25)
    with path.open("wb") as file:
        for number in range(parts):
            file.seek(number * 300_000 + 4096)
            file.write(os.urandom(5000))
        file.truncate(parts * 300_000 + 1_000_000)
    version = [f"--sparse-version={options[1]}"] if len(options) > 1 else []
    command = ["tar", "--sparse", f"--format={options[0]}", *version, "-cf", "-", "-C", str(tmp_path), path.name]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(content) < 400_000
    ((entry, data),) = read(content, 700)
    assert entry.name == path.name
    assert entry.sparse is not None
    assert data == path.read_bytes()


def test_a_reader_that_skips_payloads_still_finds_every_entry():
    content = archive([member(f"f{n}", data=bytes(n * 400)) for n in range(9)])
    assert [entry.name for entry in TarReader(source(content, 333))] == [f"f{n}" for n in range(9)]


def test_the_end_may_be_missing_but_no_content():
    content = archive([member("a", data=b"x" * 700)])
    assert read(content[: 512 + 700])[0][1] == b"x" * 700
    with pytest.raises(UnexpectedEnd):
        read(content[: 512 + 699])
    with pytest.raises(UnexpectedEnd):
        read(content[:300])
    assert read(b"") == []


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda raw: raw.__setitem__(slice(0, 5), b"other"), "invalid tar header"),
        (lambda raw: raw.__setitem__(slice(124, 136), b"-0000000012\0"), "invalid tar header"),
    ],
)
def test_broken_headers_are_refused(break_it, message):
    raw = bytearray(archive([member("a", data=b"x")]))
    break_it(raw)
    with pytest.raises(InvalidArgument, match=message):
        read(bytes(raw))


def with_checksum(raw):
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


@pytest.mark.parametrize(
    "size", [b"77777777777\0", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"\x80" + bytes(3) + b"\x7f" * 8]
)
@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"g", b"S"])
def test_absurd_sizes_are_refused_without_taking_memory(size, kind):
    raw = bytearray(archive([member("a", data=b"x")]))
    raw[156:157], raw[124:136] = kind, size
    with pytest.raises(InvalidArgument):
        read_only_headers(with_checksum(raw))


def read_only_headers(content):
    reader = TarReader(source(content))
    for _ in reader:
        for _ in reader.payload():
            pass


@pytest.mark.parametrize(
    "records", [b"5 a=b\n", b"x a=b\n", b"99 a=b\n", b"6 a=b", b"6 abc\n", b"0 a=b\n", b"-6 a=b\n"]
)
def test_malformed_extended_headers_are_refused(records):
    head = tarwrite.head(Entry("x", "x", 0o644, 0, 0, len(records), 0))
    with pytest.raises(InvalidArgument):
        read(head + records + tarwrite.padding(len(records)) + archive([member("a")]))


@given(st.integers(0, 2**32), st.binary(min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_damage_never_raises_anything_else(seed, noise):
    rng = random.Random(seed)
    content = bytearray(
        archive(
            [member("d" * 120, data=b"x" * 100), member("s", tarfile.SYMTYPE, linkname="t" * 200)], rng.choice([1, 2])
        )
    )
    for _ in range(3):
        start = rng.randrange(len(content))
        content[start : start + len(noise)] = noise
        block = start // 512 * 512
        if rng.random() < 0.7 and len(content) >= block + 512:
            header = bytearray(content[block : block + 512])
            content[block : block + 512] = with_checksum(header)
    try:
        read_only_headers(bytes(content))
    except InvalidArgument:
        pass


def test_tars_are_recognised():
    assert looks_like_tar(archive([member("a")])[:512])
    assert looks_like_tar(bytes(512))
    assert not looks_like_tar(b"x" * 512)
    assert not looks_like_tar(b"{}")
