"""Values of the flags of run and create that are more than text. Every reader raises InvalidArgument."""

from __future__ import annotations

import re

from sampan.cli.commands.container.ports import is_address
from sampan.cli.flags import TRUTHS
from sampan.cli.render.units import parse_bytes
from sampan.errors import InvalidArgument
from sampan.wire.containers import (
    BindOptions,
    DeviceMapping,
    DeviceRequest,
    DriverConfig,
    ImageOptions,
    Mount,
    RestartPolicy,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    VolumeOptions,
    WeightDevice,
)
from sampan.wire.networks import EndpointIPAMConfig, EndpointSettings

ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni"
    " kernel.shm_rmid_forced".split()
)


def env(text: str) -> str:
    """Return a variable as it was given; its name may not be empty."""
    if not text or text.startswith("="):
        raise InvalidArgument(f"invalid environment variable: {text}")
    return text


def extra_host(text: str) -> str:
    """Return host:address of `host:address` or `host=address`."""
    match = re.fullmatch(r"([^:=]+)[:=](.+)", text)
    if not match:
        raise InvalidArgument(f'bad format for add-host: "{text}"')
    address = match[2].removeprefix("[").removesuffix("]")
    if address != "host-gateway" and not is_address(address):
        raise InvalidArgument(f'invalid IP address in add-host: "{address}"')
    return f"{match[1]}:{address}"


def dns(text: str) -> str:
    """Return an address."""
    if not is_address(text):
        raise InvalidArgument(f"IP address is not correctly formatted: {text}")
    return text


def ulimit(text: str) -> Ulimit:
    """Return the limit `name=soft[:hard]`."""
    name, equals, numbers = text.partition("=")
    if not equals:
        raise InvalidArgument(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise InvalidArgument(f"invalid ulimit type: {name}")
    soft_text, _, hard_text = numbers.partition(":")
    try:
        soft, hard = int(soft_text), int(hard_text or soft_text)
    except ValueError:
        raise InvalidArgument(f"invalid ulimit argument: {text}") from None
    if soft != -1 and soft > hard != -1:
        raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name=name, soft=soft, hard=hard)


def sysctl(text: str) -> tuple[str, str]:
    """Return (name, value) of a sysctl that belongs to a namespace."""
    name, equals, value = text.partition("=")
    if not equals or not (name in SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise InvalidArgument(f"sysctl '{text}' is not allowed")
    return name, value


def weight_device(text: str) -> WeightDevice:
    """Return `/dev/x:weight`."""
    path, weight = _device_value(text)
    if not weight.isdigit() or (int(weight) and not 10 <= int(weight) <= 1000):
        raise InvalidArgument(f"invalid weight for device: {text}")
    return WeightDevice(path=path, weight=int(weight))


def throttle_bytes(text: str) -> ThrottleDevice:
    """Return `/dev/x:rate` with a rate like 1mb."""
    path, rate = _device_value(text)
    try:
        return ThrottleDevice(path=path, rate=parse_bytes(rate))
    except InvalidArgument:
        raise InvalidArgument(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]."
            " Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def throttle_operations(text: str) -> ThrottleDevice:
    """Return `/dev/x:rate` with a plain number."""
    path, rate = _device_value(text)
    if not rate.isdigit():
        raise InvalidArgument(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>."
            " Number must be a positive integer"
        )
    return ThrottleDevice(path=path, rate=int(rate))


def cgroup_rule(text: str) -> str:
    """Return a rule like `c 1:3 rwm`."""
    if not re.fullmatch(r"[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}", text):
        raise InvalidArgument(f"invalid device cgroup format '{text}'")
    return text


def device(text: str) -> DeviceMapping:
    """Return `/dev/x[:/dev/y][:rwm]`."""
    parts = text.split(":")
    source = target = parts[0]
    permissions = "rwm"
    if len(parts) > 3 or not source:
        raise InvalidArgument(f"invalid device specification: {text}")
    if len(parts) == 3:
        target, permissions = parts[1], parts[2]
    elif len(parts) == 2:
        if re.fullmatch(r"[rwm]{1,3}", parts[1]):
            permissions = parts[1]
        else:
            target = parts[1]
    for path in (source, target):
        if not path.startswith("/"):
            raise InvalidArgument(f"{path} is not an absolute path")
    return DeviceMapping(path_on_host=source, path_in_container=target, cgroup_permissions=permissions)


def gpus(text: str) -> DeviceRequest:
    """Return `all`, a count, or CSV of driver=, count=, device=, capabilities=, options=."""
    request = DeviceRequest(count=0, capabilities=[], options={})
    capabilities: list[str] = []
    for field in csv(text):
        key, equals, value = field.partition("=")
        if not equals:
            request.count = _count(key)
        elif key == "driver":
            request.driver = value
        elif key == "count":
            request.count = _count(value)
        elif key == "device":
            request.device_ids = value.split(",")
        elif key == "capabilities":
            capabilities = value.split(",")
        elif key == "options":
            request.options = dict(_pair(part) for part in value.split(","))
        else:
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
    if text and "=" in text and request.device_ids is None and "count" not in text:
        request.count = 1
    request.capabilities = [[*capabilities, *(["gpu"] if "gpu" not in capabilities else [])]]
    return request


def network(text: str) -> tuple[str, EndpointSettings, bool]:
    """Return (name, settings, whether options were given) of `name` or CSV with name=."""
    if "=" not in text:
        return text, EndpointSettings(), False
    name, settings, ipam = "", EndpointSettings(), EndpointIPAMConfig()
    for field in csv(text):
        key, equals, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals:
            raise InvalidArgument(f"invalid field {field}")
        if key == "name":
            name = value
        elif key == "alias":
            settings.aliases = [*(settings.aliases or ()), value]
        elif key == "driver-opt":
            settings.driver_opts = dict([*(settings.driver_opts or {}).items(), _pair(value)])
        elif key == "ip":
            ipam.ipv4_address = value
        elif key == "ip6":
            ipam.ipv6_address = value
        elif key == "link-local-ip":
            ipam.link_local_ips = [*ipam.link_local_ips, value]
        elif key == "mac-address":
            settings.mac_address = value
        elif key == "gw-priority":
            settings.gw_priority = _integer(value, "gw-priority")
        else:
            raise InvalidArgument(f"invalid field key {key}")
    if not name:
        raise InvalidArgument("network name/id is not specified")
    if ipam != EndpointIPAMConfig():
        settings.ipam_config = ipam
    return name, settings, True


def restart_policy(text: str) -> RestartPolicy:
    """Return `name[:count]`."""
    name, colon, count = text.partition(":")
    if colon and not count.lstrip("-").isdigit():
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
    if text and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    return RestartPolicy(name=name, maximum_retry_count=int(count or 0))


_MOUNT_FLAGS = frozenset(("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"))


def mount(text: str) -> Mount:
    """Return a mount given as CSV: type=bind,src=/a,dst=/b,readonly."""
    made = Mount(type="volume")
    bind, volume, image, tmpfs = BindOptions(), VolumeOptions(), ImageOptions(), TmpfsOptions()
    seen: set[str] = set()
    for field in csv(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals and key not in _MOUNT_FLAGS:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        seen.add(key.partition("-")[0] if key.startswith(("bind-", "volume-", "image-", "tmpfs-")) else "")
        if not (
            _mount_field(made, key, value, equals) or _mount_option(bind, volume, image, tmpfs, key, value, equals)
        ):
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
    _check_mount(made, seen - {""})
    made.bind_options = bind if made.type == "bind" and "bind" in seen else None
    made.volume_options = volume if "volume" in seen else None
    made.image_options = image if "image" in seen else None
    made.tmpfs_options = tmpfs if "tmpfs" in seen else None
    return made


def _mount_field(made: Mount, key: str, value: str, given: str) -> bool:
    if key == "type":
        made.type = value.lower()
    elif key in ("source", "src"):
        made.source = _absolute(value) if value.startswith(".") else value
    elif key in ("target", "dst", "destination"):
        made.target = value
    elif key in ("readonly", "ro"):
        made.read_only = _truth(key, value, given)
    elif key == "consistency":
        made.consistency = value.lower()
    else:
        return False
    return True


def _mount_option(
    bind: BindOptions, volume: VolumeOptions, image: ImageOptions, tmpfs: TmpfsOptions, key: str, value: str, given: str
) -> bool:
    config = volume.driver_config or DriverConfig()
    if key == "bind-propagation":
        bind.propagation = value.lower()
    elif key == "bind-nonrecursive":
        bind.non_recursive = _truth(key, value, given)
    elif key == "bind-recursive":
        _recursive(bind, value)
    elif key == "bind-create-src":
        bind.create_mountpoint = _truth(key, value, given)
    elif key == "volume-nocopy":
        volume.no_copy = _truth(key, value, given)
    elif key == "volume-subpath":
        volume.subpath = value
    elif key == "volume-label":
        volume.labels |= [_pair(value)]
    elif key == "volume-driver":
        volume.driver_config, config.name = config, value
    elif key == "volume-opt":
        volume.driver_config, config.options = config, dict([*config.options.items(), _pair(value)])
    elif key == "image-subpath":
        image.subpath = value
    elif key == "tmpfs-size":
        tmpfs.size_bytes = _size(key, value)
    elif key == "tmpfs-mode":
        tmpfs.mode = _octal(key, value)
    else:
        return False
    return True


def _check_mount(made: Mount, options: set[str]) -> None:
    if not made.type:
        raise InvalidArgument("type is required")
    if not made.target:
        raise InvalidArgument("target is required")
    for kind in sorted(options):
        if kind != made.type:
            raise InvalidArgument(f"cannot mix '{kind}-*' options with mount type '{made.type}'")


def _recursive(bind: BindOptions, value: str) -> None:
    if value == "disabled":
        bind.non_recursive = True
    elif value == "writable":
        bind.read_only_non_recursive = True
    elif value == "readonly":
        bind.read_only_force_recursive = True
    elif value != "enabled":
        raise InvalidArgument(
            f"invalid value for bind-recursive: {value} (must be 'enabled', 'disabled', 'writable', or 'readonly')"
        )


def csv(text: str) -> list[str]:
    """Return the fields of one CSV record."""
    if '"' not in text:
        return text.split(",")
    import csv as csv_module

    return next(csv_module.reader([text]), [])


def _device_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise InvalidArgument(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format for device path: {text}")
    return path, value


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _count(text: str) -> int:
    return -1 if text == "all" else _integer(text, "count")


def _integer(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid {what}: {text}: must be an integer") from None


def _truth(key: str, value: str, given: str) -> bool:
    if given and value not in TRUTHS:
        raise InvalidArgument(f"invalid value for {key}: {value}")
    return TRUTHS[value] if given else True


def _size(key: str, value: str) -> int:
    try:
        return parse_bytes(value)
    except InvalidArgument:
        raise InvalidArgument(f"invalid value for {key}: {value}") from None


def _octal(key: str, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise InvalidArgument(f"invalid value for {key}: {value}") from None


def _absolute(path: str) -> str:
    import os

    return os.path.abspath(path)
