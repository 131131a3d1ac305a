"""A container's files for reading and writing, whether it runs or not.

running      /proc/PID/root: its own mounts, tmpfs and volumes among them
not running  its snapshot, with volumes, binds and the files of /etc put where they would be
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from sampan.engine.containers.record import ContainerRecord
from sampan.kernel import roots
from sampan.kernel.roots import Bind
from sampan.store.paths import DataPaths, RunPaths

_ETC_FILES = ("hosts", "hostname", "resolv.conf")


@dataclass(frozen=True)
class Roots:
    """One per daemon; `view` gives the descriptor of a snapshot's mount. Everything here blocks."""

    view: Callable[[str], AbstractContextManager[int]]
    paths: DataPaths
    run: RunPaths

    @contextmanager
    def whole(self, record: ContainerRecord) -> Iterator[int]:
        """The root with all that is, or would be, mounted in it."""
        with ExitStack() as stack:
            yield self._whole(record, stack)

    def _whole(self, record: ContainerRecord, stack: ExitStack) -> int:
        if record.state.pid:
            try:
                return stack.enter_context(roots.of_process(record.state.pid))
            except OSError:
                # It ended a moment ago.
                pass
        snapshot = stack.enter_context(self.view(record.id))
        binds = self._binds(record)
        return stack.enter_context(roots.assembled(snapshot, binds, str(self.run.root))) if binds else snapshot

    @contextmanager
    def layers(self, record: ContainerRecord) -> Iterator[int]:
        """The container's own file system, without volumes and whatever else is mounted in it."""
        with ExitStack() as stack:
            yield self._layers(record, stack)

    def _layers(self, record: ContainerRecord, stack: ExitStack) -> int:
        if record.state.pid:
            try:
                return stack.enter_context(roots.alone(record.state.pid))
            except OSError:
                # It ended a moment ago.
                pass
        return stack.enter_context(self.view(record.id))

    def _binds(self, record: ContainerRecord) -> list[Bind]:
        points = [p for p in record.mounts if p.type in ("bind", "volume")]
        parts = record.subpaths
        binds = [Bind(p.source, p.destination, not p.rw, parts.get(p.destination, "")) for p in points]
        taken = {bind.target for bind in binds}
        folder = self.paths.container(record.id)
        files = [Bind(str(folder / name), f"/etc/{name}") for name in _ETC_FILES if (folder / name).exists()]
        binds += [file for file in files if file.target not in taken]
        return sorted(binds, key=lambda bind: bind.target.count("/"))
