"""Garbage collection spares what rows keep and what a lease holds, also while work goes on."""

from __future__ import annotations

import threading

import pytest

from sampan.oci.digest import digest_of
from sampan.store.collect import Collector
from sampan.store.content import ContentStore
from sampan.store.db import Database
from sampan.store.leases import Leases
from sampan.store.snapshots import Snapshots


class Store:
    def __init__(self, root):
        self.database = Database(root / "db")
        self.leases = Leases(self.database)
        self.content = ContentStore(self.database, root / "blobs", root / "ingest")
        self.snapshots = Snapshots(self.database, self.leases, root / "snapshots")
        self.collector = Collector(self.database, self.content, self.snapshots, self.leases)

    def keep(self, digest):
        def insert(rows):
            rows.execute("INSERT OR IGNORE INTO images VALUES ('i', 'm', '', 0, 0, '', '{}')")
            rows.execute("INSERT INTO image_blobs VALUES ('i', ?)", (digest,))

        self.database.write_blocking(insert)

    def close(self):
        self.collector.close()
        self.snapshots.close()
        self.database.close()


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    yield made
    made.close()


def test_only_what_nothing_keeps_goes(store):
    kept, loose = store.content.put(b"kept"), store.content.put(b"loose")
    store.keep(kept)
    store.collector.run()
    assert (store.content.has(kept), store.content.has(loose)) == (True, False)


def test_a_change_and_what_it_sets_free_are_one_step(store):
    kept = store.content.put(b"kept")
    store.keep(kept)
    with pytest.raises(ZeroDivisionError):
        store.collector.run(lambda rows: rows.execute("DELETE FROM images") and 1 / 0)
    assert store.content.has(kept)
    store.collector.run(lambda rows: rows.execute("DELETE FROM images"))
    assert not store.content.has(kept)


def test_leases_hold_until_they_end(store):
    with store.leases.hold() as lease:
        lease.keep(digest_of(b"held"))
        held = store.content.put(b"held")
        store.collector.run()
        assert store.content.has(held)
    store.collector.run()
    assert not store.content.has(held)


def test_what_was_leased_and_seen_stays_under_a_storm_of_collections(store):
    done = threading.Event()
    failures = []

    def work(number):
        content = f"blob {number % 3}".encode()
        for _ in range(40):
            with store.leases.hold() as lease:
                lease.keep(digest_of(content))
                if not store.content.has(digest_of(content)):
                    store.content.put(content)
                if store.content.read(digest_of(content)) != content:
                    failures.append(number)

    def collect():
        while not done.is_set():
            store.collector.run()

    collecting = threading.Thread(target=collect)
    working = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    collecting.start()
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    done.set()
    collecting.join()
    assert failures == []
    store.collector.run()
    assert store.content.list() == []
