from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from sampan.errors import Internal
from sampan.store.db import MIGRATIONS, Database


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "sampan.db")
    yield opened
    opened.close()


def names(database):
    return database.read(lambda rows: [name for (name,) in rows.execute("SELECT name FROM volumes ORDER BY name")])


def insert(name):
    return lambda rows: rows.execute("INSERT INTO volumes VALUES (?, x'')", (name,)).rowcount


async def test_a_write_is_seen_by_readers(database):
    assert await database.write(insert("a")) == 1
    assert await database.write(insert("b"), durable=True) == 1
    assert names(database) == ["a", "b"]


async def test_an_exception_rolls_the_whole_transaction_back(database):
    def both(rows):
        insert("a")(rows)
        insert("a")(rows)

    with pytest.raises(sqlite3.IntegrityError):
        await database.write(both)
    assert names(database) == []
    assert await database.write(insert("a")) == 1


async def test_writes_keep_their_order(database):
    await asyncio.gather(*(database.write(insert(f"{n:03}")) for n in range(50)))
    rows = database.read(lambda rows: rows.execute("SELECT name FROM volumes").fetchall())
    assert len(rows) == 50


def test_write_blocking_works_from_any_thread(database):
    threads = [threading.Thread(target=database.write_blocking, args=(insert(str(n)),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 8


def test_a_read_sees_one_state_though_others_write(database):
    def twice(rows):
        first = rows.execute("SELECT count(*) FROM volumes").fetchone()
        database.write_blocking(insert("later"))
        return first, rows.execute("SELECT count(*) FROM volumes").fetchone()

    assert database.read(twice) == ((0,), (0,))
    assert names(database) == ["later"]


def test_readers_may_not_write(database):
    with pytest.raises(sqlite3.OperationalError):
        database.read(insert("a"))
    assert names(database) == []


def test_durable_is_a_matter_of_each_write(database):
    def mode(rows):
        return rows.execute("PRAGMA synchronous").fetchone()[0]

    assert database.write_blocking(mode) == 1
    assert database.write_blocking(mode, durable=True) == 2
    assert database.write_blocking(mode) == 1


def test_rows_are_there_after_reopening(tmp_path):
    first = Database(tmp_path / "sampan.db")
    first.write_blocking(insert("kept"))
    first.close()
    second = Database(tmp_path / "sampan.db")
    assert names(second) == ["kept"]
    second.close()


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "sampan.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Internal, match="newer version"):
        Database(path)


def test_each_migration_moves_one_version(tmp_path):
    Database(tmp_path / "sampan.db").close()
    with sqlite3.connect(tmp_path / "sampan.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


def test_committed_rows_survive_sigkill(tmp_path):
    script = (
        "import sys, pathlib; from sampan.store.db import Database\n"
        "database = Database(pathlib.Path(sys.argv[1]))\n"
        "for n in range(10**6):\n"
        "    database.write_blocking(lambda rows: rows.execute(\"INSERT INTO volumes VALUES (?, x'')\", (str(n),)))\n"
        "    print(n, flush=True)\n"
    )
    path = tmp_path / "sampan.db"
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = [writer.stdout.readline() for _ in range(100)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().splitlines()
    told = int(rest[-1]) if rest and rest[-1] else int(last)
    database = Database(path)
    assert {str(n) for n in range(told + 1)} <= set(names(database))
    database.close()
