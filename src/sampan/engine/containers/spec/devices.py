"""Looking up device nodes on the host: the impure part before `build`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from sampan.engine.containers.spec.plan import Device
from sampan.errors import InvalidArgument
from sampan.wire.containers import DeviceMapping, Resources

__all__ = ["block_numbers", "host_devices", "resolve_devices"]

_SKIPPED_FOLDERS = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_SKIPPED_FILES = frozenset({"console"})


def resolve_devices(mappings: Iterable[DeviceMapping], *, privileged: bool) -> tuple[Device, ...]:
    """The nodes that a container gets: those of `mappings`, all of the host's when privileged.

    A folder stands for the devices below it. Raises InvalidArgument when a path is not there or is no device.
    """
    found = {device.path: device for device in (host_devices() if privileged else ())}
    for mapping in mappings:
        if privileged and mapping.path_in_container in ("", mapping.path_on_host):
            continue
        found |= {device.path: device for device in _mapped(mapping)}
    return tuple(found.values())


def host_devices(root: str = "/dev") -> Iterator[Device]:
    """Every device node below `root`, in the order of names; pseudo terminals and the console are the container's."""
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _SKIPPED_FOLDERS:
                yield from host_devices(entry.path)
        elif entry.name not in _SKIPPED_FILES and (device := _device(entry.path, entry.path, "rwm")):
            yield device


def _mapped(mapping: DeviceMapping) -> Iterator[Device]:
    source, access = mapping.path_on_host, mapping.cgroup_permissions or "rwm"
    target = mapping.path_in_container or source
    real = os.path.realpath(source)
    if Path(real).is_dir():
        found = [_moved(device, real, target, access) for device in host_devices(real)]
    else:
        device = _device(real, target, access)
        found = [device] if device else []
    if not found:
        reason = "not a device node" if os.path.lexists(real) else "no such file or directory"
        raise InvalidArgument(f'error gathering device information while adding custom device "{source}": {reason}')
    yield from found


def _moved(device: Device, source: str, target: str, access: str) -> Device:
    return Device(
        path=target + device.path.removeprefix(source),
        kind=device.kind,
        major=device.major,
        minor=device.minor,
        mode=device.mode,
        uid=device.uid,
        gid=device.gid,
        access=access,
    )


def _device(path: str, target: str, access: str) -> Device | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        return None
    return Device(
        path=target,
        kind="c" if stat.S_ISCHR(found.st_mode) else "b",
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        access=access,
    )


def block_numbers(limits: Resources) -> dict[str, tuple[int, int]]:
    """(major, minor) of each device that a blkio option names. Raises InvalidArgument for one that is not there."""
    lists = (
        limits.blkio_weight_device,
        limits.blkio_device_read_bps,
        limits.blkio_device_write_bps,
        limits.blkio_device_read_iops,
        limits.blkio_device_write_iops,
    )
    return {item.path: _number(item.path) for items in lists for item in items or ()}


def _number(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise InvalidArgument(f"{path}: {(error.strerror or 'unknown error').lower()}") from error
    return os.major(found.st_rdev), os.minor(found.st_rdev)
