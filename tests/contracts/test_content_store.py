"""What every content store must do. A body takes part by a factory in STORES."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator

import pytest

from sampan.errors import DataLoss, Exhausted, InvalidArgument, NotFound
from sampan.oci.digest import Digest, digest_of
from sampan.store.content import ContentStore
from sampan.store.db import Database


class FileStore:
    """The store on files and SQLite, and how to look behind it."""

    def __init__(self, root):
        self.root = root
        self.open()

    def open(self):
        self.database = Database(self.root / "db")
        self.store = ContentStore(self.database, self.root / "blobs", self.root / "ingest")

    def reopen(self):
        """A daemon that was killed and started again."""
        self.database.close()
        self.open()
        self.store.recover()

    def files(self):
        """What the store itself keeps: neither the database nor the space that this holds back."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path for path in found if path.name[:2] != "db" and path.name != "room.bin")

    def close(self):
        self.database.close()


STORES: dict[str, Callable] = {"files": FileStore}


@pytest.fixture(params=sorted(STORES))
def body(request, tmp_path) -> Iterator[FileStore]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(body):
    return body.store


def test_what_was_put_is_there_under_its_digest(store):
    digest = store.put(b"hello")
    assert digest == digest_of(b"hello")
    assert store.has(digest)
    assert store.read(digest) == b"hello"
    assert store.info(digest).size == 5
    with store.open(digest) as file:
        assert file.read() == b"hello"
    assert [info.digest for info in store.list()] == [digest]


def test_what_is_not_there_is_not_found(store):
    absent = digest_of(b"absent")
    assert not store.has(absent)
    assert store.info(absent) is None
    for look in (store.read, store.open):
        with pytest.raises(NotFound, match=absent):
            look(absent)


@pytest.mark.parametrize("text", ["", "sha256:../../../etc/passwd", "../x:y", "sha256:" + "A" * 64])
def test_what_is_no_digest_leads_nowhere(store, text):
    for look in (store.read, store.open, store.path):
        with pytest.raises(InvalidArgument):
            look(Digest(text))


def test_an_ingest_is_invisible_until_its_commit(body, store):
    with store.begin() as ingest:
        ingest.write(b"one")
        ingest.write(memoryview(b"two"))
        assert ingest.offset == 6
        assert not store.has(ingest.digest)
        assert store.list() == []
        digest = ingest.commit()
    assert store.read(digest) == b"onetwo"
    assert len(body.files()) == 1


def test_an_ingest_that_is_left_leaves_nothing(body, store):
    with store.begin() as ingest:
        ingest.write(b"x")
    with pytest.raises(RuntimeError), store.begin() as ingest:
        ingest.write(b"x")
        raise RuntimeError
    assert body.files() == []


@pytest.mark.parametrize(("expected", "size"), [(digest_of(b"other"), None), (None, 4), (digest_of(b"good"), 5)])
def test_wrong_digest_or_size_is_data_loss_and_leaves_nothing(body, store, expected, size):
    with pytest.raises(DataLoss), store.begin() as ingest:
        ingest.write(b"good!" if size == 4 else b"good")
        ingest.commit(expected, size)
    assert body.files() == []
    assert store.list() == []


def test_the_right_digest_and_size_are_taken(store):
    with store.begin() as ingest:
        ingest.write(b"good")
        assert ingest.commit(digest_of(b"good"), 4) == digest_of(b"good")


def test_other_algorithms(store):
    digest = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    assert store.put(b"x", digest) == digest
    assert store.read(digest) == b"x"


def test_the_same_content_twice_is_one_blob(body, store):
    assert store.put(b"same") == store.put(b"same")
    assert len(body.files()) == len(store.list()) == 1


def test_many_at_once_are_one_blob(body, store):
    content = b"z" * 100_000
    threads = [threading.Thread(target=store.put, args=(content,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(body.files()) == len(store.list()) == 1
    assert store.read(digest_of(content)) == content


def test_deleting(body, store):
    one, two = store.put(b"1"), store.put(b"2")
    store.delete([one, digest_of(b"absent")])
    assert not store.has(one)
    assert store.read(two) == b"2"
    assert len(body.files()) == 1


def test_a_blob_that_comes_back_during_its_deletion_is_whole(store):
    digest = digest_of(b"again")
    failures = []

    def put():
        for _ in range(60):
            store.put(b"again")

    def delete():
        for _ in range(60):
            store.delete([digest])
            if store.has(digest):
                try:
                    store.read(digest)
                except NotFound:
                    # Gone between the two looks, row and all: fine, if the row says so now.
                    failures.extend([1] if store.has(digest) and not store.path(digest).exists() else [])

    threads = [threading.Thread(target=work) for work in (put, put, delete)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.put(b"again")
    assert store.read(digest) == b"again"
    assert failures == []


def test_damage_on_the_disk_is_told(store):
    digest = store.put(b"precious")
    store.path(digest).write_bytes(b"pr3cious")
    with pytest.raises(DataLoss, match="damaged"):
        store.read(digest)


def test_an_ingest_can_be_followed_while_it_grows(store):
    received, started = [], threading.Event()
    with store.begin() as ingest:

        def follow():
            reader = ingest.follow()
            started.set()
            received.append(b"".join(reader))
            reader.close()

        thread = threading.Thread(target=follow)
        thread.start()
        started.wait()
        for number in range(100):
            ingest.write(str(number).encode() * 1000)
        digest = ingest.commit()
        thread.join()
    assert digest_of(received[0]) == digest


def test_a_follower_of_what_is_given_up_comes_to_an_end(store):
    with store.begin() as ingest:
        ingest.write(b"part")
        reader = ingest.follow()
        ingest.abort()
        assert b"".join(reader) == b"part"
        reader.close()


def test_an_ingest_can_be_resumed_by_its_name(body, store):
    with store.begin("resume-1") as ingest:
        ingest.write(b"first half, ")
    body.reopen()
    with body.store.begin("resume-1") as ingest:
        assert ingest.offset == 12
        ingest.write(b"second half")
        digest = ingest.commit()
    assert body.store.read(digest) == b"first half, second half"


def test_after_a_crash_only_whole_blobs_are_left(body, store):
    kept = store.put(b"kept")
    lost = store.put(b"lost")
    store.begin().write(b"in the middle")
    store.path(lost).unlink()
    store.path(digest_of(b"orphan")).write_bytes(b"orphan")
    body.reopen()
    assert [info.digest for info in body.store.list()] == [kept]
    assert [path.read_bytes() for path in body.files()] == [b"kept"]


def test_a_commit_whose_row_can_not_be_written_leaves_nothing(body, store, monkeypatch):
    def fail(*arguments, **named):
        raise Exhausted("full")

    with store.begin() as ingest:
        ingest.write(b"x")
        monkeypatch.setattr(body.database, "write_blocking", fail)
        with pytest.raises(Exhausted):
            ingest.commit()
    assert body.files() == []
    monkeypatch.undo()
    assert store.list() == []
    assert store.read(store.put(b"x")) == b"x"
