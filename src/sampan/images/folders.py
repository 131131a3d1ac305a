"""The directories of one layer that is being unpacked, reached safely and kept open while they are in use.

A path here is canonical: relative to the layer's root, without links, `.` or `..`; the root itself is "".
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence

from sampan.errors import InvalidArgument

__all__ = ["Folders", "clean", "join"]

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 64
_MOST_LINKS = 40
_OPAQUE_XATTR = "trusted.overlay.opaque"


def clean(name: str) -> list[str]:
    """The components of a name in an archive. Raises InvalidArgument where it leads out of the root."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise InvalidArgument(f'invalid entry name "{name}"')
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if "\0" in name:
        raise InvalidArgument(f"invalid entry name {name!r}")
    return parts


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


class Folders:
    """Opens, finds and makes directories below a root descriptor, which stays the caller's."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: OrderedDict[str, int] = OrderedDict()
        self._resolved: dict[str, str] = {}
        self.implied: set[str] = set()
        """Directories that were made because something lies below them."""
        self.whiteouts: set[str] = set()
        """Names that hide those of lower layers; a directory made in such a place is opaque."""

    def parent(self, parts: Sequence[str]) -> str:
        """The canonical directory in which the last of `parts` lies; what is missing is made."""
        raw = "/".join(parts[:-1])
        path = self._resolved.get(raw)
        if path is None:
            # Mostly the folder above is known: an archive has a folder before what is in it.
            above = self._resolved.get(raw.rpartition("/")[0]) if len(parts) > 2 else None
            pending = parts[:-1] if above is None else parts[-2:-1]
            path = self._resolved[raw] = self._resolve(pending, make=True, beginning=above or "")
        return path

    def find(self, parts: Sequence[str]) -> str | None:
        """The same without making anything: None where a directory is missing."""
        try:
            return self._resolve(parts[:-1], make=False)
        except FileNotFoundError:
            return None

    def descriptor(self, path: str) -> int:
        """The directory's descriptor, good until the next call."""
        if not path:
            return self._root
        found = self._open.get(path)
        if found is not None:
            self._open.move_to_end(path)
            return found
        # From the nearest folder that is open; the way may be longer than a recursion can be.
        way = []
        while path and path not in self._open:
            way.append(path)
            path = path.rpartition("/")[0]
        descriptor = self._root
        if path:
            self._open.move_to_end(path)
            descriptor = self._open[path]
        for path in reversed(way):
            opened = os.open(path.rpartition("/")[2], _OPEN, dir_fd=descriptor)
            descriptor = self._remember(path, opened)
        return descriptor

    def make(self, folder: str, name: str) -> None:
        """Make a directory. Raises FileExistsError unless what is there is a whiteout of this layer."""
        path, descriptor = join(folder, name), self.descriptor(folder)
        hides = path in self.whiteouts
        if hides:
            self.whiteouts.discard(path)
            os.unlink(name, dir_fd=descriptor)
        os.mkdir(name, 0o755, dir_fd=descriptor)
        if hides:
            self.make_opaque(path)

    def make_opaque(self, path: str) -> None:
        """Hide everything that lower layers have in this directory."""
        os.setxattr(self.descriptor(path), _OPAQUE_XATTR, b"y")

    def forget(self, path: str) -> None:
        """A directory is gone, with all below it."""
        self._resolved.clear()
        below = path + "/"
        for known in [known for known in self._open if known == path or known.startswith(below)]:
            os.close(self._open.pop(known))
        for names in (self.implied, self.whiteouts):
            names.difference_update([name for name in names if name == path or name.startswith(below)])

    def close(self) -> None:
        """Close all but the root; they are opened again when needed."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _resolve(self, parts: Sequence[str], make: bool, beginning: str = "") -> str:
        pending, path, links = list(reversed(parts)), beginning, 0
        while pending:
            name = pending.pop()
            if name == "..":
                path = _above(path, parts)
                continue
            target = self._step(path, name, make)
            if target is None:
                path = join(path, name)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise InvalidArgument(f'invalid entry below "{"/".join(parts)}": too many links')
            path = "" if target.startswith("/") else path
            pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return path

    def _step(self, folder: str, name: str, make: bool) -> str | None:
        """Open, or make, a directory; or the target of a link that stands there."""
        path = join(folder, name)
        if path in self._open:
            return None
        try:
            self.descriptor(path)
        except FileNotFoundError:
            if not make:
                raise
            self._imply(folder, name)
        except NotADirectoryError:
            if path in self.whiteouts and make:
                self._imply(folder, name)
                return None
            return self._link_target(folder, name)
        return None

    def _imply(self, folder: str, name: str) -> None:
        self.make(folder, name)
        self.implied.add(join(folder, name))

    def _link_target(self, folder: str, name: str) -> str:
        descriptor = self.descriptor(folder)
        mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
        if not stat.S_ISLNK(mode):
            raise InvalidArgument(f'"{join(folder, name)}" is not a directory, but something lies below it')
        return os.readlink(name, dir_fd=descriptor)

    def _remember(self, path: str, descriptor: int) -> int:
        self._open[path] = descriptor
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor


def _above(path: str, parts: Sequence[str]) -> str:
    if not path:
        raise InvalidArgument(f'invalid entry below "{"/".join(parts)}": a link there leads out of the layer')
    return path.rpartition("/")[0]
