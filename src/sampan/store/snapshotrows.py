"""Questions to the rows of snapshots; each stands within a transaction or a read of its caller."""

from __future__ import annotations

import sqlite3

from sampan.errors import NotFound
from sampan.oci.digest import Digest

__all__ = ["COMMIT", "DESCENT", "UNUSED", "ancestry", "find", "identity_of", "init_key", "insert"]

UNUSED = """
    SELECT id, key, diff, size FROM snapshots AS this
    WHERE kind IN ('layer', 'init') AND NOT EXISTS (SELECT 1 FROM snapshots WHERE parent = this.id)
    AND NOT EXISTS (SELECT 1 FROM images WHERE top = CASE kind WHEN 'init' THEN substr(key, 6) ELSE key END)
"""
COMMIT = "UPDATE snapshots SET kind = 'layer', key = ?, parent = ?, diff = ?, size = ?, boot = ? WHERE id = ?"
DESCENT = """
    WITH RECURSIVE chain (id, parent, depth) AS (
        SELECT id, parent, 0 FROM snapshots WHERE id = ?
        UNION ALL SELECT s.id, s.parent, depth + 1 FROM snapshots s JOIN chain ON s.id = chain.parent
    ) SELECT id FROM chain ORDER BY depth
"""


def init_key(top: Digest | None) -> str:
    """The key of the init snapshot on an image's topmost layer."""
    return f"init:{top or ''}"


def insert(rows: sqlite3.Connection, kind: str, key: str, parent: int | None) -> int:
    """A new row; its id."""
    cursor = rows.execute("INSERT INTO snapshots (kind, key, parent) VALUES (?, ?, ?)", (kind, key, parent))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def find(rows: sqlite3.Connection, key: str) -> int | None:
    """The id of a key's row."""
    row = rows.execute("SELECT id FROM snapshots WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def identity_of(rows: sqlite3.Connection, key: str) -> int:
    """The same. Raises NotFound."""
    found = find(rows, key)
    if found is None:
        raise NotFound(f"snapshot {key} not found")
    return found


def ancestry(rows: sqlite3.Connection, key: str) -> list[int]:
    """The snapshot and all below it, topmost first."""
    return [identity for (identity,) in rows.execute(DESCENT, (identity_of(rows, key),))]
