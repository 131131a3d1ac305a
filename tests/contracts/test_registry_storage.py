"""What every storage of the registry must do. A body joins by a factory: two handles on one and the same state."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from rig.buckets import in_a_bucket
from sampan.errors import Conflict, DataLoss, NotFound
from sampan.http import FileBody
from sampan.oci.digest import Digest, digest_of
from sampan.registry.storage import ABSENT, Storage
from sampan.registry.storage.filesystem import FileStorage


@dataclass
class Pair:
    """Two instances on one state, as two processes (or replicas) would have them."""

    one: Storage
    two: Storage

    async def next_moment(self) -> None:
        """Wait until a time that is noted now differs from one noted before: S3 knows whole seconds only."""
        await asyncio.sleep(0.02 if isinstance(self.one, FileStorage) else 1.1)


Factory = Callable[[], Storage]


@pytest.fixture(params=["filesystem", "s3"])
def factory(request, tmp_path) -> Factory:
    if request.param == "filesystem":
        return lambda: FileStorage(tmp_path / "root")
    return in_a_bucket(request.getfixturevalue("s3_server"))


@pytest.fixture
async def pair(factory) -> AsyncIterator[Pair]:
    made = Pair(factory(), factory())
    yield made
    await made.one.close()
    await made.two.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def store(storage: Storage, content: bytes) -> Digest:
    upload = await storage.begin("sha256")
    await storage.append(upload, pieces(content))
    await storage.commit(upload, digest_of(content))
    return digest_of(content)


async def fetch(storage: Storage, digest: Digest, offset: int, count: int) -> bytes:
    body = await storage.open(digest, offset, count)
    if isinstance(body, FileBody):
        with body.file as file:
            return os.pread(file.fileno(), body.size(), body.offset)
    return b"".join([piece async for piece in body])


async def test_a_storage_that_is_there_passes_its_check(pair):
    await pair.one.check()
    await pair.one.write("k/x", b"1")
    await pair.two.check()


# records


async def test_a_record_is_read_as_written_by_any_instance(pair):
    assert await pair.one.read("a/b/c") is None
    version = await pair.one.write("a/b/c", b"content")
    found = await pair.two.read("a/b/c")
    assert found is not None and (found.content, found.version) == (b"content", version)


async def test_versions_change_with_the_content(pair):
    first = await pair.one.write("k/x", b"1")
    second = await pair.one.write("k/x", b"2")
    assert first != second


async def test_only_one_of_two_creates_a_record(pair):
    results = await asyncio.gather(
        *(instance.write("k/x", text, ABSENT) for instance, text in ((pair.one, b"1"), (pair.two, b"2"))),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert sum(isinstance(result, str) for result in results) == 1


async def test_compare_and_swap_loses_no_update(pair):
    """Twenty increments by two instances, each retried until it is the one that got in."""
    await pair.one.write("k/counter", b"0")

    async def increment(storage: Storage) -> None:
        while True:
            record = await storage.read("k/counter")
            assert record is not None
            try:
                await storage.write("k/counter", b"%d" % (int(record.content) + 1), record.version)
                return
            except Conflict:
                continue

    await asyncio.gather(*(increment(storage) for storage in (pair.one, pair.two) for _ in range(10)))
    record = await pair.one.read("k/counter")
    assert record is not None and record.content == b"20"


async def test_a_write_with_an_old_version_changes_nothing(pair):
    old = await pair.one.write("k/x", b"1")
    await pair.two.write("k/x", b"2")
    with pytest.raises(Conflict):
        await pair.one.write("k/x", b"3", old)
    with pytest.raises(Conflict):
        await pair.one.write("k/x", b"3", ABSENT)
    record = await pair.one.read("k/x")
    assert record is not None and record.content == b"2"


async def test_a_record_that_is_gone_has_no_version_to_swap(pair):
    version = await pair.one.write("k/x", b"1")
    assert await pair.one.remove("k/x") is True
    with pytest.raises(Conflict):
        await pair.one.write("k/x", b"2", version)
    assert await pair.one.read("k/x") is None


async def test_removing_tells_whether_there_was_something(pair):
    await pair.one.write("k/x", b"1")
    assert await pair.two.remove("k/x") is True
    assert await pair.one.remove("k/x") is False
    assert await pair.one.read("k/x") is None
    assert await pair.one.remove("no/such/folder") is False


async def test_names_are_sorted_by_bytes_and_of_that_folder_only(pair):
    for name in ("b", "A", "a-1", "a.1", "a1", "_x"):
        await pair.one.write(f"f/{name}", b"")
    await pair.one.write("f/deeper/z", b"")
    await pair.one.write("fg/z", b"")
    expected = sorted(("b", "A", "a-1", "a.1", "a1", "_x"))
    assert await pair.two.names("f") == expected
    assert await pair.two.names("f", after="a-1") == [name for name in expected if name > "a-1"]
    assert await pair.two.names("f", after="a", limit=2) == ["a-1", "a.1"]
    assert await pair.two.names("f", limit=0) == []
    assert await pair.two.names("nothing") == []


async def test_pages_join_up_to_the_whole(pair):
    every = sorted(f"t{number:04}" for number in range(130))
    await asyncio.gather(*(pair.one.write(f"f/{name}", b"") for name in every))
    found: list[str] = []
    while page := await pair.one.names("f", found[-1] if found else "", 40):
        found += page
    assert found == every


async def test_touching_a_record_makes_it_young(pair):
    assert await pair.one.modified("k/x") is None
    assert await pair.one.touch("k/x") is False
    await pair.one.write("k/x", b"content")
    before = await pair.one.modified("k/x")
    await pair.next_moment()
    assert await pair.two.touch("k/x") is True
    after = await pair.one.modified("k/x")
    assert before is not None and after is not None and after > before
    record = await pair.one.read("k/x")
    assert record is not None and record.content == b"content"


# blobs


async def test_a_blob_has_its_size_and_bytes(pair):
    content = os.urandom(300_000)
    digest = await store(pair.one, content)
    info = await pair.two.blob(digest)
    assert info is not None and (info.digest, info.size) == (digest, len(content))
    assert abs(info.modified - time.time()) < 60
    assert await fetch(pair.two, digest, 0, len(content)) == content
    assert await fetch(pair.two, digest, 1000, 5000) == content[1000:6000]
    assert await fetch(pair.two, digest, len(content) - 1, 1) == content[-1:]


async def test_an_empty_blob(pair):
    digest = await store(pair.one, b"")
    info = await pair.one.blob(digest)
    assert info is not None and info.size == 0
    assert await fetch(pair.one, digest, 0, 0) == b""


async def test_a_blob_that_is_not_there(pair):
    digest = digest_of(b"nothing")
    assert await pair.one.blob(digest) is None
    assert await pair.one.touch_blob(digest) is False
    assert await pair.one.remove_blob(digest) is False
    with pytest.raises(NotFound):
        await pair.one.open(digest, 0, 1)


async def test_blobs_are_listed_and_removed(pair):
    stored = {await store(pair.one, bytes([number])) for number in range(5)}
    assert {info.digest async for info in pair.two.blobs()} == stored
    gone = stored.pop()
    assert await pair.two.remove_blob(gone) is True
    assert {info.digest async for info in pair.one.blobs()} == stored


async def test_storing_a_blob_again_makes_it_young(pair):
    digest = await store(pair.one, b"again")
    before = await pair.one.blob(digest)
    await pair.next_moment()
    await store(pair.two, b"again")
    after = await pair.one.blob(digest)
    assert before is not None and after is not None and after.modified > before.modified
    await pair.next_moment()
    assert await pair.one.touch_blob(digest) is True
    touched = await pair.one.blob(digest)
    assert touched is not None and touched.modified > after.modified


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("hinted", ["sha256", "sha512"])
async def test_digests_of_every_algorithm_whatever_was_announced(pair, algorithm, hinted):
    content = os.urandom(70_000)
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    upload = await pair.one.begin(hinted)
    await pair.one.append(upload, pieces(content))
    assert await pair.one.commit(upload, digest) == len(content)
    assert await fetch(pair.one, digest, 0, len(content)) == content


# uploads


async def test_an_upload_continues_on_another_instance(pair):
    parts = [os.urandom(100_000), os.urandom(1), os.urandom(50_000)]
    upload = await pair.one.begin("sha256")
    assert await pair.one.append(upload, pieces(parts[0]), 0) == 100_000
    assert await pair.two.append(upload, pieces(parts[1]), 100_000) == 100_001
    assert await pair.one.append(upload, pieces(parts[2])) == 150_001
    info = await pair.two.upload(upload)
    assert info is not None and info.offset == 150_001
    content = b"".join(parts)
    assert await pair.two.commit(upload, digest_of(content)) == len(content)
    assert await fetch(pair.one, digest_of(content), 0, len(content)) == content
    assert await pair.one.upload(upload) is None


async def test_a_chunk_at_the_wrong_place_is_refused_and_changes_nothing(pair):
    upload = await pair.one.begin("sha256")
    await pair.one.append(upload, pieces(b"12345"))
    for offset in (0, 4, 6, 1000):
        with pytest.raises(Conflict):
            await pair.two.append(upload, pieces(b"x"), offset)
    info = await pair.one.upload(upload)
    assert info is not None and info.offset == 5
    await pair.one.append(upload, pieces(b"6"), 5)
    await pair.one.commit(upload, digest_of(b"123456"))


async def test_what_came_before_a_broken_connection_is_kept(pair):
    async def broken() -> AsyncIterator[bytes]:
        yield b"first "
        yield b"second"
        raise ConnectionError

    upload = await pair.one.begin("sha256")
    with pytest.raises(ConnectionError):
        await pair.one.append(upload, broken())
    info = await pair.two.upload(upload)
    assert info is not None and info.offset == len(b"first second")
    await pair.two.append(upload, pieces(b" third"), info.offset)
    await pair.two.commit(upload, digest_of(b"first second third"))


async def test_a_wrong_digest_leaves_neither_blob_nor_upload(pair):
    upload = await pair.one.begin("sha256")
    await pair.one.append(upload, pieces(b"content"))
    with pytest.raises(DataLoss):
        await pair.one.commit(upload, digest_of(b"other"))
    assert await pair.one.blob(digest_of(b"other")) is None
    assert await pair.one.blob(digest_of(b"content")) is None
    assert await pair.one.upload(upload) is None


@pytest.mark.parametrize("id", ["nothing", "..", "00000000-0000-0000-0000-000000000000", "a/b", ""])
async def test_an_upload_that_is_not_there(pair, id):
    assert await pair.one.upload(id) is None
    assert await pair.one.abandon(id) is False
    with pytest.raises(NotFound):
        await pair.one.append(id, pieces(b"x"))
    with pytest.raises(NotFound):
        await pair.one.commit(id, digest_of(b"x"))


async def test_abandoned_uploads_are_gone(pair):
    kept, given_up = await pair.one.begin("sha256"), await pair.one.begin("sha256")
    await pair.one.append(given_up, pieces(b"x"))
    assert {info.id for info in await pair.two.uploads()} == {kept, given_up}
    assert await pair.two.abandon(given_up) is True
    assert [info.id for info in await pair.one.uploads()] == [kept]
    with pytest.raises(NotFound):
        await pair.one.append(given_up, pieces(b"x"))


async def test_many_uploads_of_the_same_blob_at_once(pair):
    content = os.urandom(200_000)
    await asyncio.gather(*(store(storage, content) for storage in (pair.one, pair.two) for _ in range(8)))
    digest = digest_of(content)
    assert await fetch(pair.one, digest, 0, len(content)) == content
    assert [info.digest async for info in pair.one.blobs()] == [digest]
    assert await pair.one.uploads() == []
