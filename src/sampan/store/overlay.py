"""Overlay mounts as data, and mounted where nobody sees them.

OverlayMount    what the monitor mounts in a container's own mount namespace
detached()      a mount that is attached nowhere, for reading and writing by a directory's descriptor
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sampan.kernel import syscalls
from sampan.kernel.facts import kernel_version

__all__ = ["OverlayMount", "detached"]

# Without these a kernel may be set so that an upper directory can't be read as a layer.
_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")
# A context takes lower directories only as one short string before. The attempt would leave a line in the kernel's log.
_TAKES_LOWER_BY_LOWER = kernel_version(os.uname().release) >= (6, 7)


@dataclass(frozen=True)
class OverlayMount:
    """How to mount a snapshot: paths are relative to `folder`, lower directories topmost first."""

    folder: Path
    lower: tuple[str, ...]
    upper: str | None
    work: str | None

    @property
    def data(self) -> str:
        """mount(2)'s data, for a caller whose working directory is `folder`. Shorter than a page up to 128 layers."""
        parts = ["lowerdir=" + ":".join(self.lower), *_OPTIONS]
        if self.upper is not None:
            parts += [f"upperdir={self.upper}", f"workdir={self.work}"]
        return ",".join(parts)


@contextmanager
def detached(overlay: OverlayMount) -> Iterator[int]:
    """The root's descriptor of the overlay; the mount ends with the block. Raises OSError."""
    mount = _mount_detached(overlay)
    try:
        # The mount's own descriptor is O_PATH: it names the root, but can't list it.
        root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        os.close(mount)


def _mount_detached(overlay: OverlayMount) -> int:
    if overlay.upper is None and len(overlay.lower) == 1:
        return os.open(overlay.folder / overlay.lower[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return _mount_by_descriptor(overlay) if _TAKES_LOWER_BY_LOWER else _mount_aside(overlay)


def _mount_by_descriptor(overlay: OverlayMount) -> int:
    context = syscalls.fsopen("overlay")
    try:
        for path in overlay.lower:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "lowerdir+", str(overlay.folder / path))
        for option in _OPTIONS:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, *option.split("="))
        if overlay.upper is not None and overlay.work is not None:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "upperdir", str(overlay.folder / overlay.upper))
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "workdir", str(overlay.folder / overlay.work))
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context)
    finally:
        os.close(context)


def _mount_aside(overlay: OverlayMount) -> int:
    """The same by mount(2), in a thread with a mount namespace of its own, which ends with it."""
    with ThreadPoolExecutor(1, "mount") as thread:
        return thread.submit(_mount_and_let_go, overlay).result()


def _mount_and_let_go(overlay: OverlayMount) -> int:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    os.chdir(overlay.folder)
    syscalls.mount("overlay", "empty", "overlay", 0, overlay.data)
    try:
        # A copy, since what was unmounted can't be attached anywhere any more.
        return syscalls.open_tree("empty")
    finally:
        syscalls.umount("empty", syscalls.MNT_DETACH)
