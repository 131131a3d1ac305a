"""A container's files for reading and writing, whether it runs or not.

running      /proc/PID/root: its own mounts, tmpfs and volumes among them
not running  its snapshot, with volumes, binds and the files of /etc put where they would be
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from sampan.engine.containers.record import ContainerRecord
from sampan.kernel import roots
from sampan.kernel.roots import Bind
from sampan.store.paths import DataPaths, RunPaths

View = Callable[[str], AbstractContextManager[int]]

_ETC_FILES = ("hosts", "hostname", "resolv.conf")


@dataclass(frozen=True)
class Roots:
    """One per daemon; `view` gives the descriptor of a snapshot's mount, of which there may be one at a time, `reading`
    that of a read-only one. Everything here blocks."""

    view: View
    reading: View
    paths: DataPaths
    run: RunPaths
    _making: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def to_write(self, record: ContainerRecord) -> Iterator[int]:
        """The root with all that is, or would be, mounted in it."""
        with ExitStack() as stack:
            yield self._whole(record, self.view, stack)

    @contextmanager
    def to_read(self, record: ContainerRecord) -> Iterator[int]:
        """The same, read-only where the container does not run."""
        with ExitStack() as stack:
            try:
                root = self._whole(record, self.reading, stack)
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise
                self._make_mount_points(record)
                root = self._whole(record, self.reading, stack)
            yield root

    def _make_mount_points(self, record: ContainerRecord) -> None:
        """Something is to be mounted where the container, which never ran, has nothing yet."""
        with self._making, self.to_write(record):
            pass

    def _whole(self, record: ContainerRecord, view: View, stack: ExitStack) -> int:
        if record.state.pid:
            try:
                return stack.enter_context(roots.of_process(record.state.pid))
            except OSError:
                # It ended a moment ago.
                pass
        snapshot = stack.enter_context(view(record.id))
        binds = self._binds(record)
        return stack.enter_context(roots.assembled(snapshot, binds, str(self.run.root))) if binds else snapshot

    @contextmanager
    def layers(self, record: ContainerRecord) -> Iterator[int]:
        """The container's own file system to read, without volumes and whatever else is mounted in it."""
        with ExitStack() as stack:
            yield self._layers(record, stack)

    def _layers(self, record: ContainerRecord, stack: ExitStack) -> int:
        if record.state.pid:
            try:
                return stack.enter_context(roots.alone(record.state.pid))
            except OSError:
                # It ended a moment ago.
                pass
        return stack.enter_context(self.reading(record.id))

    def _binds(self, record: ContainerRecord) -> list[Bind]:
        points = [p for p in record.mounts if p.type in ("bind", "volume")]
        parts = record.subpaths
        binds = [Bind(p.source, p.destination, not p.rw, parts.get(p.destination, "")) for p in points]
        taken = {bind.target for bind in binds}
        folder = self.paths.container(record.id)
        files = [Bind(str(folder / name), f"/etc/{name}") for name in _ETC_FILES if (folder / name).exists()]
        binds += [file for file in files if file.target not in taken]
        return sorted(binds, key=lambda bind: bind.target.count("/"))
