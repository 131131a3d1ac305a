"""Space that is held back for what makes room."""

import errno
import os
import sqlite3

import pytest

from sampan.errors import Exhausted
from sampan.store.db import Database
from sampan.store.room import Room


def insert(name):
    return lambda rows: rows.execute("INSERT INTO volumes VALUES (?, x'')", (name,))


def count(database):
    return database.read(lambda rows: rows.execute("SELECT count(*) FROM volumes").fetchone()[0])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "room.bin"


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "sampan.db")
    yield opened
    opened.close()


def full(database, times):
    """Let the next transactions meet a full disk; the names of what was tried."""
    tried = []
    transact = database._transact

    def fail(change, durable):
        tried.append(durable)
        if len(tried) <= times:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return transact(change, durable)

    database._transact = fail
    return tried


def test_the_space_is_really_taken(path):
    room = Room(path)
    assert room.there()
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 0
    assert Room(path).there()


def test_what_was_given_up_is_held_back_again_when_there_is_space(path):
    room = Room(path)
    assert room.give_up()
    assert not path.exists()
    assert not room.give_up()
    assert room.there()
    assert path.exists()


def test_what_a_crash_left_half_made_is_made_anew(path):
    path.write_bytes(b"x" * 5000)
    assert Room(path).there()
    assert path.stat().st_size > 5000


def test_without_free_space_nothing_is_held_back(path, monkeypatch):
    monkeypatch.setattr(Room, "_free", lambda room: 1000)
    room = Room(path)
    assert not room.there()
    assert not path.exists()


def test_where_nothing_can_be_held_back_everything_goes_on(path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    room = Room(path)
    assert room.there()
    assert not room.give_up()
    assert not path.exists()


def test_a_removal_uses_the_space_that_is_held_back(database):
    tried = full(database, times=1)
    database.write_blocking(insert("a"))
    assert len(tried) == 2
    assert count(database) == 1


def test_what_begins_something_new_does_not(database):
    tried = full(database, times=1)
    with pytest.raises(Exhausted, match="no space left on device"):
        database.write_blocking(insert("a"), growing=True)
    assert len(tried) == 1
    assert count(database) == 0


def test_while_nothing_is_held_back_nothing_new_begins(database, monkeypatch):
    full(database, times=1)
    monkeypatch.setattr(Room, "_free", lambda room: 1000)
    database.write_blocking(insert("a"))
    with pytest.raises(Exhausted, match="no space left on device"):
        database.write_blocking(insert("b"), growing=True)
    database.write_blocking(insert("c"))
    monkeypatch.undo()
    database.write_blocking(insert("d"), growing=True)
    assert count(database) == 3


def test_a_disk_that_stays_full_is_told(database):
    full(database, times=2)
    with pytest.raises(Exhausted, match="no space left on device"):
        database.write_blocking(insert("a"))
