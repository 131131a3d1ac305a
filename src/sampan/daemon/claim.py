"""What a daemon claims before it begins, so that no two work on one root."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sampan.config import Config
from sampan.errors import Conflict, DataLoss, InvalidArgument, SampanError
from sampan.store.paths import DataPaths


class Claim:
    """This daemon's claim on its roots: a lock on the data root, and the pidfile. Raises Conflict when it is taken."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._locks: list[int] = []

    def __enter__(self) -> Claim:
        config = self._config
        try:
            self._claim(config.data_root, "--data-root")
            self._claim(config.exec_root, "--exec-root")
            check_pidfile(config.pidfile)
            check_rows_are_there(DataPaths(config.data_root))
        except SampanError:
            self._let_go()
            raise
        config.pidfile.parent.mkdir(parents=True, exist_ok=True)
        config.pidfile.write_text(f"{os.getpid()}\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._config.pidfile.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def _claim(self, root: Path, flag: str) -> None:
        """Make a root and hold its lock. Two daemons on one exec root would end each other's containers."""
        try:
            root.mkdir(mode=0o711, parents=True, exist_ok=True)
            lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidArgument(f"{flag} {root} can't be used: {error.strerror}") from None
        self._locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another sampand uses {root}: stop it, or give another {flag}") from None


def check_pidfile(path: Path) -> None:
    """Raise Conflict when the pidfile is that of a daemon that lives."""
    try:
        pid = int(path.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if pid != os.getpid() and b"sampand" in words:
        raise Conflict(f"the process {pid} of {path} is still running: stop it, or give another --pidfile")


def check_rows_are_there(paths: DataPaths) -> None:
    """Raise DataLoss when a data root has content and no database: everything would look like garbage then."""
    if paths.database.exists() and paths.database.stat().st_size > 0:
        return
    for folder in (paths.volumes, paths.containers, paths.blobs, paths.snapshots):
        if folder.is_dir() and any(entry.name != "empty" and any(entry.iterdir()) for entry in folder.iterdir()):
            raise DataLoss(
                f"{paths.database} is missing or empty, but {folder} is not: restore the database, or move the data "
                "root away to begin anew (nothing was touched)"
            )
