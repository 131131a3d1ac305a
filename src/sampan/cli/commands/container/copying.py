"""Tars of cp: which name a copy gets, packing, unpacking.

the target is a folder              -> into it, under the source's name (its contents alone where it ends in `/.`)
it is not there, its parent is      -> it is the copy's name
it is a file                        -> replaced by a file; a folder is refused
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from io import BytesIO

from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

GO_DIRECTORY = 1 << 31
GO_SYMLINK = 1 << 27
PIECE = 1 << 18


def destination(source: str, is_folder: bool, target: str) -> tuple[str, str]:
    """Return (local folder, name in it) for a copy of `source`; "" means the folder itself. Raises InvalidArgument."""
    contents = source.endswith("/.") or source == "."
    if os.path.isdir(target):
        return target, "" if contents else posixpath.basename(source.rstrip("/")) or "/"
    if os.path.lexists(target):
        if is_folder:
            raise InvalidArgument("cannot copy directory")
        return os.path.dirname(target) or ".", os.path.basename(target)
    if target.endswith("/") and not is_folder:
        raise InvalidArgument("no such directory")
    parent = os.path.dirname(os.path.abspath(target))
    if not os.path.isdir(parent):
        raise InvalidArgument(f'invalid output path: directory "{parent}" does not exist')
    return parent, os.path.basename(target.rstrip("/"))


def container_destination(source: str, real: str, target: str, is_folder: bool | None, written: str) -> tuple[str, str]:
    """Return (folder in the container, name in it) for a copy of the local `source`. Raises InvalidArgument.

    `real` is what is copied, `target` where `written` really is in the container and `is_folder` what is there.
    """
    if not os.path.lexists(real):
        raise InvalidArgument(f"lstat {source}: no such file or directory")
    source_is_folder = os.path.isdir(real) and not os.path.islink(real)
    if is_folder:
        contents = source.endswith("/.") or source == "."
        return target, "" if contents else os.path.basename(os.path.abspath(source))
    if is_folder is False and source_is_folder:
        raise InvalidArgument("cannot copy directory")
    if is_folder is None and written.endswith("/") and not source_is_folder:
        raise InvalidArgument("no such directory")
    return posixpath.dirname(target.rstrip("/")) or "/", posixpath.basename(target.rstrip("/"))


def followed(path: str) -> str:
    """Return what a symbolic link leads to; a trailing `/.` stays."""
    suffix = "/." if path.endswith("/.") else ""
    return os.path.realpath(path) + suffix


def unpack(pieces: Iterator[bytes], root: str, place: str, name: str) -> int:
    """Unpack a tar whose entries lie under `root` into `place`, `root` renamed to `name`; return the bytes of the tar.

    What is made belongs to the user. Names that leave `place`, by themselves or through links, are refused. Raises
    InvalidArgument.
    """
    source = _Pieces(pieces)
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:  # type: ignore[call-overload]
            for member in tar:
                member.name = _inside(place, _renamed(member.name, root, name))
                if member.islnk():
                    member.linkname = _inside(place, _renamed(member.linkname, root, name))
                member.uid, member.gid = os.geteuid(), os.getegid()
                _clear(os.path.join(place, member.name), member.isdir())
                tar.extract(member, place, set_attrs=True, numeric_owner=True)
    except tarfile.TarError as error:
        raise InvalidArgument(f"can't unpack what the container sent: {error}") from None
    return source.taken


def _inside(place: str, name: str) -> str:
    """Return `name` if its parent, links followed, lies in `place`. Raises InvalidArgument."""
    top = os.path.realpath(place)
    parent = os.path.realpath(os.path.join(top, os.path.dirname(name)))
    if os.path.commonpath((top, parent)) != top:
        raise InvalidArgument(f"the container sent a name that leads out of {place}: {name}")
    return name


def _clear(path: str, is_folder: bool) -> None:
    """Make way for an entry: a file is replaced, a folder is kept and never followed by a link of its name."""
    if os.path.lexists(path) and not os.path.isdir(path):
        if is_folder:
            raise InvalidArgument(f"cannot overwrite non-directory {path} with directory")
        os.unlink(path)
    elif not is_folder and os.path.isdir(path) and not os.path.islink(path):
        raise InvalidArgument(f"cannot overwrite directory {path} with non-directory")
    elif os.path.islink(path) and not is_folder:
        os.unlink(path)


def _renamed(entry: str, root: str, name: str) -> str:
    """Return an entry's name with `root`, its first part, replaced by `name`. Raises InvalidArgument."""
    if ".." in entry.split("/"):
        raise InvalidArgument(f"the container sent a name that leads out of its folder: {entry}")
    top, _, rest = entry.strip("/").removeprefix("./").partition("/")
    if top != root.strip("/"):
        rest = entry.strip("/")
    return posixpath.normpath(posixpath.join(name or ".", rest))


class _Pieces:
    """An iterator of bytes as a file that tarfile can read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.taken = 0

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
            self.taken += len(piece)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class Packed:
    """A local path as a tar, made while it is sent; `size` is the bytes so far."""

    def __init__(self, source: str, name: str) -> None:
        self._source, self._name = source, name
        self.size = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the tar. Raises OSError."""
        links = tarfile.TarFile(fileobj=BytesIO(), mode="w")  # Only to know hard links again.
        for path, name in self._entries():
            for piece in self._member(links, path, name):
                yield self._counted(piece)
        yield self._counted(b"\0" * 2 * tarfile.BLOCKSIZE)

    def _entries(self) -> Iterator[tuple[str, str]]:
        top = self._source.removesuffix("/.") or "/"
        if self._name:
            yield top, self._name
        if os.path.isdir(top) and not os.path.islink(top):
            for folder, folders, files in os.walk(top):
                relative = os.path.relpath(folder, top)
                for entry in sorted((*folders, *files)):
                    yield (
                        os.path.join(folder, entry),
                        posixpath.normpath(posixpath.join(self._name, relative, entry)),
                    )

    def _member(self, links: tarfile.TarFile, path: str, name: str) -> Iterator[bytes]:
        member = links.gettarinfo(path, name)
        if member is None:
            return  # A socket: tar has no such thing, and docker leaves it out too.
        member.mtime = int(member.mtime)
        yield member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if not member.isreg():
            return
        with open(path, "rb") as file:  # noqa: PTH123
            left = member.size
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece
        yield b"\0" * (left + -member.size % tarfile.BLOCKSIZE)

    def _counted(self, piece: bytes) -> bytes:
        self.size += len(piece)
        return piece
