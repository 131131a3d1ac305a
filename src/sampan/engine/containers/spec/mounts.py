"""Mounts of a container: what the user asked for as plans, and the whole list in the runtime spec's terms.

HostConfig.Mounts, Tmpfs + MountPoint (resolved binds, volumes) ─ plan_mounts ─> MountPlan ...
/proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm  + plans + /etc/{resolv.conf,hostname,hosts}
    ─ spec_mounts ─> `mounts` of config.json, parents before children
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sampan.engine.containers.spec.plan import MountPlan, SpecPlan
from sampan.engine.containers.spec.security import parse_security_options
from sampan.errors import InvalidArgument
from sampan.wire.containers import BindOptions, HostConfig, Mount, MountPoint, TmpfsOptions

__all__ = ["merge_tmpfs_options", "plan_mounts", "spec_mounts", "tmpfs_option_list"]

SpecMount = dict[str, Any]

_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev", "rprivate")
_TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
# Flags of one group exclude one another: the last one wins.
_FLAG_GROUPS = (
    ("ro", "rw"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("sync", "async"),
    ("dirsync",),
    ("remount",),
    ("mand", "nomand"),
    ("atime", "noatime"),
    ("diratime", "nodiratime"),
    ("bind", "rbind"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
    ("defaults",),
    ("unbindable", "runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave"),
)
_GROUP_OF = {flag: group[0] for group in _FLAG_GROUPS for flag in group}
_BYTES = (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))
# What stays writable when the root is read-only.
_ALWAYS_WRITABLE = frozenset({"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"})


def plan_mounts(
    host_config: HostConfig, points: Iterable[MountPoint], is_folder: Callable[[str], bool] = os.path.isdir
) -> tuple[MountPlan, ...]:
    """Plans for the resolved `points` (binds and volumes, own and from other containers) and all tmpfs.

    Pure but for `is_folder`, which looks at each source.
    """
    covered = {posixpath.normpath(target) for target in host_config.tmpfs}
    wishes = {posixpath.normpath(mount.target): mount for mount in host_config.mounts}
    resolved = [
        _plan_point(point, wishes.get(point.destination), is_folder(point.source))
        for point in points
        if point.type != "tmpfs" and point.destination not in covered
    ]
    tmpfs = [
        MountPlan(target=posixpath.normpath(target), tmpfs=True, options=tuple(filter(None, options.split(","))))
        for target, options in host_config.tmpfs.items()
    ]
    own = [_plan_tmpfs(target, mount) for target, mount in wishes.items() if mount.type == "tmpfs"]
    return (*resolved, *tmpfs, *own)


def _plan_point(point: MountPoint, wish: Mount | None, folder: bool) -> MountPlan:
    options = (wish.bind_options if wish else None) or BindOptions()
    forced = options.read_only_force_recursive
    return MountPlan(
        target=point.destination,
        source=point.source,
        folder=folder,
        read_only=not point.rw,
        recursive=not options.non_recursive,
        read_only_recursive=None if forced else not options.read_only_non_recursive,
        propagation=point.propagation,
    )


def _plan_tmpfs(target: str, mount: Mount) -> MountPlan:
    return MountPlan(target=target, tmpfs=True, options=tmpfs_option_list(mount.tmpfs_options, mount.read_only))


def tmpfs_option_list(options: TmpfsOptions | None, read_only: bool) -> tuple[str, ...]:
    """Mount options from a mount of type tmpfs: mode in octal, the size with the largest unit that divides it."""
    found = ["ro"] if read_only else []
    if options is None:
        return tuple(found)
    if options.mode:
        found.append(f"mode={options.mode:o}")
    if options.size_bytes:
        suffix, divisor = next((unit for unit in _BYTES if options.size_bytes % unit[1] == 0), ("", 1))
        found.append(f"size={options.size_bytes // divisor}{suffix}")
    found += ["=".join(option) for option in options.options]
    return tuple(found)


def merge_tmpfs_options(options: Sequence[str]) -> list[str]:
    """Options without those that later ones override. Raises InvalidArgument for one that a tmpfs does not have."""
    kept: dict[str, str] = {}
    for option in reversed(options):
        name, separator, _ = option.partition("=")
        if option not in _GROUP_OF and not (separator and name in _TMPFS_VALUES):
            raise InvalidArgument(f'invalid tmpfs option "{name}"')
        kept.setdefault(_GROUP_OF.get(option, name), option)
    return list(reversed(kept.values()))


def spec_mounts(plan: SpecPlan) -> list[SpecMount]:
    """All mounts, in the order in which they are made."""
    user = {posixpath.normpath(mount.target) for mount in plan.mounts}
    base = [mount for mount in _base_mounts(plan) if not _is_overridden(mount["destination"], user)]
    asked = [*map(_spec_mount_of(plan), plan.mounts), *_files(plan, user)]
    asked.sort(key=lambda mount: posixpath.normpath(mount["destination"]).count("/"))
    mounts = [*base, *asked, *_init(plan)]
    if plan.host_config.readonly_rootfs:
        mounts = [_read_only(mount) if mount["destination"] not in user else mount for mount in mounts]
    return [_writable(mount) for mount in mounts] if plan.host_config.privileged else mounts


def _is_overridden(destination: str, user: set[str]) -> bool:
    return destination in user or (destination.startswith("/dev/") and "/dev" in user)


def _base_mounts(plan: SpecPlan) -> Iterator[SpecMount]:
    yield _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev")
    yield _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
    yield _mount(
        "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
    )
    yield _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    writable = parse_security_options(plan.host_config.security_opt or ()).writable_cgroups
    yield _mount("/sys/fs/cgroup", "cgroup", "cgroup", *[] if writable else ["ro"], "nosuid", "noexec", "nodev")
    yield _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    if plan.host_config.ipc_mode != "none":
        yield _shm(plan)


def _shm(plan: SpecPlan) -> SpecMount:
    source = "/dev/shm" if plan.host_config.ipc_mode == "host" else plan.namespaces.shm
    if source:
        return _mount("/dev/shm", "bind", source, "rbind", "rprivate")
    size = f"size={plan.host_config.shm_size}"
    return _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", size)


def _mount(destination: str, kind: str, source: str, *options: str) -> SpecMount:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _spec_mount_of(plan: SpecPlan) -> Any:
    recursive_read_only = plan.host.recursive_read_only

    def convert(mount: MountPlan) -> SpecMount:
        if mount.tmpfs:
            return _mount(mount.target, "tmpfs", "tmpfs", *merge_tmpfs_options([*_TMPFS_DEFAULTS, *mount.options]))
        return _mount(mount.target, "bind", mount.source, *_bind_options(mount, recursive_read_only))

    return convert


def _bind_options(mount: MountPlan, recursive_read_only: bool) -> Iterator[str]:
    yield "rbind" if mount.recursive else "bind"
    if mount.read_only:
        if mount.read_only_recursive is None and not recursive_read_only:
            raise InvalidArgument("mount: recursively read-only mounts need Linux 5.12 or newer")
        # Below a single file nothing can be mounted, and Debian 12's crun takes "rro" for folders only.
        plain = mount.read_only_recursive is False or not mount.folder or not recursive_read_only
        yield "ro" if plain else "rro"
    if mount.propagation:
        # A single mount has nothing below it; Debian 12's crun takes the r of rprivate for a wish to bind all.
        yield mount.propagation if mount.recursive else mount.propagation.removeprefix("r")


def _files(plan: SpecPlan, user: set[str]) -> Iterator[SpecMount]:
    files = {
        "/etc/resolv.conf": plan.resolv_conf_path,
        "/etc/hostname": plan.hostname_path,
        "/etc/hosts": plan.hosts_path,
    }
    for target, source in files.items():
        if source and target not in user:
            yield _mount(target, "bind", source, "rbind", "rprivate")


def _init(plan: SpecPlan) -> Iterator[SpecMount]:
    if plan.init:
        yield _mount("/sbin/docker-init", "bind", plan.init, "bind", "ro")


def _read_only(mount: SpecMount) -> SpecMount:
    options = mount["options"]
    if mount["destination"] in _ALWAYS_WRITABLE or "ro" in options:
        return mount
    return mount | {"options": [options[0], "ro", *options[1:]]}


def _writable(mount: SpecMount) -> SpecMount:
    if mount["destination"] not in ("/sys", "/sys/fs/cgroup") or mount["type"] == "bind":
        return mount
    return mount | {"options": [option for option in mount["options"] if option != "ro"]}
