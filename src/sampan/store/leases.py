"""Leases: what a piece of work holds against garbage collection until rows refer to it.

    with leases.hold() as lease:
        lease.keep(digest)               before asking whether the blob is already there
        ...                              ingest, unpack, write the rows that refer to all this
                                         then the lease ends

A collector reads `leases.held()` inside its own transaction. `keep` goes through the writer thread too, so it stands
either before a collection (which then spares the key) or after its commit (and the thing is seen to be gone).

They live in memory: work does not outlive the process, and at its start everything without a reference is garbage.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager

from sampan.store.db import Database

__all__ = ["Lease", "Leases"]


class Lease:
    """Keys (blob digests, chain ids) that one piece of work holds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.keys: set[str] = set()

    def keep(self, *keys: str) -> None:
        """From here on the keys are not collected; look for the things afterwards. Blocks for one transaction."""
        if not self.keys.issuperset(keys):
            self._database.write_blocking(lambda rows: self.keys.update(keys))


class Leases:
    """All leases of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases: set[Lease] = set()

    @contextmanager
    def hold(self) -> Iterator[Lease]:
        """A lease for the length of the `with` block; for worker threads."""
        lease = Lease(self._database)
        self._leases.add(lease)
        try:
            yield lease
        finally:
            self._leases.discard(lease)

    def held(self) -> Set[str]:
        """All keys that are held; means something only within a write transaction."""
        return set[str]().union(*(lease.keys for lease in list(self._leases)))
