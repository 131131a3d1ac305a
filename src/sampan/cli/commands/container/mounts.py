"""--mount: CSV like type=bind,source=/a,target=/b,readonly,bind-propagation=rslave.

Options whose names begin with a type (bind-, volume-, image-, tmpfs-) only go with that type.
"""

from __future__ import annotations

import os

from sampan.cli.commands.container.text import csv, pair
from sampan.cli.flags import TRUTHS
from sampan.cli.render.units import parse_bytes
from sampan.errors import InvalidArgument
from sampan.wire.containers import BindOptions, DriverConfig, ImageOptions, Mount, TmpfsOptions, VolumeOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SWITCHES = frozenset(("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"))
KINDS = ("bind", "volume", "image", "tmpfs")
RECURSIVE = {
    "disabled": "non_recursive",
    "writable": "read_only_non_recursive",
    "readonly": "read_only_force_recursive",
}


class _Draft:
    """A mount in the making, with the options of every type."""

    def __init__(self) -> None:
        self.mount = Mount(type="volume")
        self.bind, self.volume = BindOptions(), VolumeOptions()
        self.image, self.tmpfs = ImageOptions(), TmpfsOptions()
        self.kinds: set[str] = set()

    def take(self, field: str) -> None:
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals and key not in SWITCHES:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        kind, dash, _ = key.partition("-")
        if dash and kind in KINDS:
            self.kinds.add(kind)
        value = value if equals else "true"
        known = self._common(key, value) or self._of_bind(key, value) or self._of_volume(key, value)
        if not (known or self._of_others(key, value)):
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")

    def finished(self) -> Mount:
        made = self.mount
        if not made.type:
            raise InvalidArgument("type is required")
        if not made.target:
            raise InvalidArgument("target is required")
        for kind in sorted(self.kinds - {made.type}):
            raise InvalidArgument(f"cannot mix '{kind}-*' options with mount type '{made.type}'")
        made.bind_options = self.bind if "bind" in self.kinds else None
        made.volume_options = self.volume if "volume" in self.kinds else None
        made.image_options = self.image if "image" in self.kinds else None
        made.tmpfs_options = self.tmpfs if "tmpfs" in self.kinds else None
        return made

    def _common(self, key: str, value: str) -> bool:
        match key:
            case "type":
                self.mount.type = value.lower()
            case "source" | "src":
                self.mount.source = os.path.abspath(value) if value.startswith(".") else value
            case "target" | "dst" | "destination":
                self.mount.target = value
            case "readonly" | "ro":
                self.mount.read_only = _truth(key, value)
            case "consistency":
                self.mount.consistency = value.lower()
            case _:
                return False
        return True

    def _of_bind(self, key: str, value: str) -> bool:
        match key:
            case "bind-propagation":
                self.bind.propagation = value.lower()
            case "bind-nonrecursive":
                self.bind.non_recursive = _truth(key, value)
            case "bind-create-src":
                self.bind.create_mountpoint = _truth(key, value)
            case "bind-recursive" if value in RECURSIVE:
                setattr(self.bind, RECURSIVE[value], True)
            case "bind-recursive":
                if value != "enabled":
                    choices = "must be 'enabled', 'disabled', 'writable', or 'readonly'"
                    raise InvalidArgument(f"invalid value for bind-recursive: {value} ({choices})")
            case _:
                return False
        return True

    def _of_volume(self, key: str, value: str) -> bool:
        match key:
            case "volume-nocopy":
                self.volume.no_copy = _truth(key, value)
            case "volume-subpath":
                self.volume.subpath = value
            case "volume-label":
                self.volume.labels = dict([*self.volume.labels.items(), pair(value)])
            case "volume-driver":
                self._driver().name = value
            case "volume-opt":
                driver = self._driver()
                driver.options = dict([*driver.options.items(), pair(value)])
            case _:
                return False
        return True

    def _of_others(self, key: str, value: str) -> bool:
        match key:
            case "image-subpath":
                self.image.subpath = value
            case "tmpfs-size":
                self.tmpfs.size_bytes = _number(key, value, parse_bytes)
            case "tmpfs-mode":
                self.tmpfs.mode = _number(key, value, lambda text: int(text, 8))
            case _:
                return False
        return True

    def _driver(self) -> DriverConfig:
        if self.volume.driver_config is None:
            self.volume.driver_config = DriverConfig()
        return self.volume.driver_config


def mount(text: str) -> Mount:
    """Return the mount that `text` describes. Raises InvalidArgument."""
    draft = _Draft()
    for field in csv(text):
        draft.take(field)
    return draft.finished()


def _truth(key: str, value: str) -> bool:
    if value not in TRUTHS:
        raise InvalidArgument(f"invalid value for {key}: {value}")
    return TRUTHS[value]


def _number(key: str, value: str, read: Callable[[str], int]) -> int:
    try:
        return read(value)
    except (InvalidArgument, ValueError):
        raise InvalidArgument(f"invalid value for {key}: {value}") from None
