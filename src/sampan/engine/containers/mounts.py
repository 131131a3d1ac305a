"""What a container wants mounted, read out of Binds, Mounts and Volumes. Pure but for one look at bind sources.

    Binds    "/host:/there:ro"  "name:/there"  "/there"         ─┐
    Mounts   {"Type": "bind" | "volume" | "tmpfs", ...}          ├─> Wanted, in docker's order, no target twice
    Volumes  {"/there": {}}     (the image's and the user's)    ─┘

A Wanted volume without a name is anonymous: the volumes service gives it one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from sampan.engine.volumes.names import check_volume_name
from sampan.errors import InvalidArgument
from sampan.wire.containers import ContainerConfig, HostConfig, Mount, MountPoint

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_GROUPS = (("ro", "rw"), ("z", "Z"), ("nocopy",), ("consistent", "cached", "delegated"), _PROPAGATIONS)


@dataclass(frozen=True)
class Wanted:
    """One mount. `spec` is the entry of Mounts it came from; `anonymous` volumes get a name later; of a volume with a
    `subpath` only that is mounted."""

    kind: str
    target: str
    source: str = ""
    mode: str = ""
    read_only: bool = False
    propagation: str = ""
    no_copy: bool = False
    driver: str = ""
    spec: Mount | None = None
    subpath: str = ""

    @property
    def anonymous(self) -> bool:
        return self.kind == "volume" and not self.source

    def point(self, name: str = "", source: str = "") -> MountPoint:
        """As inspect shows it, for a volume with the name and the path that it got."""
        volume = self.kind == "volume"
        return MountPoint(
            type=self.kind,
            name=name,
            source=source or self.source,
            destination=self.target,
            driver="local" if volume else "",
            mode=self.mode,
            rw=not self.read_only,
            propagation=self.propagation or ("rprivate" if self.kind == "bind" else ""),
        )


def wanted_mounts(
    config: ContainerConfig, host: HostConfig, inherited: Sequence[Wanted], daemon_root: str = ""
) -> list[Wanted]:
    """All mounts of a new container; `inherited` are those of VolumesFrom. Raises InvalidArgument."""
    named = [parse_bind(text, host.volume_driver) for text in host.binds or ()]
    named += [parse_mount(mount) for mount in host.mounts]
    named = [_following(wish, daemon_root) if _overlap(wish, daemon_root) else wish for wish in named]
    _refuse_twice([*(w.target for w in named), *(_target(t, "tmpfs") for t in host.tmpfs)])
    taken = {w.target for w in named}
    wanted = [wish for wish in inherited if wish.target not in taken] + named
    taken |= {w.target for w in wanted} | {_target(t, "tmpfs") for t in host.tmpfs}
    for path in config.volumes or ():
        target = _target(path, "volume")
        if target not in taken:
            wanted.append(Wanted("volume", target, driver=host.volume_driver))
    return wanted


def _overlap(wish: Wanted, root: str) -> bool:
    """Whether the daemon's root, or a part of it, is in what is bound."""
    return wish.kind == "bind" and bool(root) and posixpath.commonpath([wish.source, root]) in (wish.source, root)


def _following(wish: Wanted, root: str) -> Wanted:
    """As docker has it, the daemon's root is bound so that what is unmounted there goes in the container, too."""
    options = wish.spec.bind_options if wish.spec else None
    asked = wish.propagation if wish.spec is None else options.propagation if options else ""
    if asked and asked not in ("rslave", "rshared"):
        raise InvalidArgument(
            'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within '
            f'the daemon root, daemon root: "{root}", bind mount source: "{wish.source}", propagation: "{asked}"'
        )
    return wish if asked else replace(wish, propagation="rslave")


def _refuse_twice(targets: Iterable[str]) -> None:
    seen: set[str] = set()
    for target in targets:
        if target in seen:
            raise InvalidArgument(f"Duplicate mount point: {target}")
        seen.add(target)


def parse_bind(text: str, driver: str = "") -> Wanted:
    """One entry of Binds. Raises InvalidArgument."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return Wanted("volume", _bind_target(text, parts[0], "volume"), driver=driver)
    source, mode = parts[0], parts[2] if len(parts) == 3 else ""
    kind = "bind" if source.startswith("/") else "volume"
    target = _bind_target(text, parts[1], kind)
    flags = _flags(mode)
    propagation = next((f for f in flags if f in _PROPAGATIONS), "")
    if kind == "volume":
        if propagation:
            raise InvalidArgument(
                f"invalid volume specification: '{text}': "
                'invalid mount config for type "volume": field BindOptions must not be specified'
            )
        check_volume_name(source)
    return Wanted(
        kind,
        target,
        posixpath.normpath(source) if kind == "bind" else source,
        mode or ("z" if kind == "volume" else ""),
        "ro" in flags,
        propagation,
        "nocopy" in flags,
        driver if kind == "volume" else "",
    )


def _flags(mode: str) -> list[str]:
    flags = mode.split(",") if mode else []
    used = [next((g for g in _GROUPS if flag in g), None) for flag in flags]
    if None in used or len({id(g) for g in used}) != len(used):
        raise InvalidArgument(f"invalid mode: {mode}")
    return flags


def _bind_target(text: str, target: str, kind: str) -> str:
    try:
        return _target(target, kind)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid volume specification: '{text}': {error}") from None


def _target(target: str, kind: str) -> str:
    if not target.startswith("/"):
        raise InvalidArgument(
            f"invalid mount config for type \"{kind}\": invalid mount path: '{target}' mount path must be absolute"
        )
    clean = posixpath.normpath("/" + target.lstrip("/"))
    if clean == "/":
        raise InvalidArgument(
            f"invalid mount config for type \"{kind}\": invalid specification: destination can't be '/'"
        )
    return clean


def parse_mount(mount: Mount) -> Wanted:
    """One entry of Mounts. Raises InvalidArgument."""

    def refuse(why: str) -> InvalidArgument:
        return InvalidArgument(f'invalid mount config for type "{mount.type}": {why}')

    options = {"bind": mount.bind_options, "volume": mount.volume_options, "tmpfs": mount.tmpfs_options}
    if mount.type not in options:
        raise refuse("mount type unknown")
    if not mount.target:
        raise refuse("field Target must not be empty")
    for kind, value in options.items():
        if kind != mount.type and value is not None:
            raise InvalidArgument(f'{kind.capitalize()}Options must not be specified on mount type "{mount.type}"')
    target = _target(mount.target, mount.type)
    if mount.type == "bind":
        return _bind_mount(mount, target, refuse)
    if mount.type == "tmpfs":
        if mount.source:
            raise refuse("field Source must not be specified")
        return Wanted("tmpfs", target, read_only=mount.read_only, spec=mount)
    return _volume_mount(mount, target)


def _bind_mount(mount: Mount, target: str, refuse: object) -> Wanted:
    assert callable(refuse)
    options = mount.bind_options
    if not mount.source:
        raise refuse("field Source must not be empty")
    if not mount.source.startswith("/"):
        raise refuse(f"invalid mount path: '{mount.source}' mount path must be absolute")
    if options and options.propagation and options.propagation not in _PROPAGATIONS:
        raise refuse(f"invalid propagation mode: {options.propagation}")
    if not (options and options.create_mountpoint) and not Path(mount.source).exists():
        raise refuse(f"bind source path does not exist: {mount.source}")
    propagation = options.propagation if options else ""
    source = posixpath.normpath(mount.source)
    return Wanted("bind", target, source, "", mount.read_only, propagation or "rprivate", spec=mount)


def _volume_mount(mount: Mount, target: str) -> Wanted:
    options = mount.volume_options
    if mount.source:
        check_volume_name(mount.source)
    elif mount.read_only:
        raise InvalidArgument(
            'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes'
        )
    subpath = options.subpath if options else ""
    if subpath.startswith("/") or posixpath.normpath(subpath).split("/")[0] == "..":
        raise InvalidArgument(
            'invalid mount config for type "volume": subpath must be a relative path within the volume'
        )
    driver = options.driver_config.name if options and options.driver_config else ""
    no_copy = bool(options and options.no_copy)
    mode = "" if mount.read_only else "z"
    return Wanted("volume", target, mount.source, mode, mount.read_only, "", no_copy, driver, mount, subpath)


def parse_volumes_from(text: str) -> tuple[str, str]:
    """`container[:mode]` of VolumesFrom. Raises InvalidArgument."""
    ref, _, mode = text.partition(":")
    if not ref:
        raise InvalidArgument(f"invalid volumes-from specification: '{text}'")
    if mode:
        _flags(mode)
    return ref, mode


def with_mode(point: MountPoint, mode: str) -> MountPoint:
    """A mount taken over from another container, read-only where `mode` says so."""
    return msgspec.structs.replace(point, rw=point.rw and "ro" not in mode.split(","), mode=mode or point.mode)


def from_point(point: MountPoint, subpath: str = "") -> Wanted:
    """The wish that gives the same mount again."""
    wanted = Wanted(
        point.type,
        point.destination,
        point.name or point.source,
        point.mode,
        not point.rw,
        point.propagation,
        no_copy=True,
    )
    return replace(wanted, driver="local", subpath=subpath) if point.type == "volume" else wanted
