"""Values of the flags of run and create that are more than text. Every reader raises InvalidArgument."""

from __future__ import annotations

import re

from sampan.cli.commands.container.ports import is_address
from sampan.cli.commands.container.text import csv, integer, pair
from sampan.cli.render.units import parse_bytes
from sampan.errors import InvalidArgument
from sampan.wire.containers import (
    DeviceMapping,
    DeviceRequest,
    RestartPolicy,
    ThrottleDevice,
    Ulimit,
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
            request.options = dict(pair(part) for part in value.split(","))
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
    names: list[str] = []
    settings, ipam = EndpointSettings(), EndpointIPAMConfig()
    for field in csv(text):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidArgument(f"invalid field {field}")
        _network_field(names, settings, ipam, key.strip().lower(), value.strip())
    if not names:
        raise InvalidArgument("network name/id is not specified")
    if ipam != EndpointIPAMConfig():
        settings.ipam_config = ipam
    return names[-1], settings, True


def _network_field(
    names: list[str], settings: EndpointSettings, ipam: EndpointIPAMConfig, key: str, value: str
) -> None:
    match key:
        case "name":
            names.append(value)
        case "alias":
            settings.aliases = [*(settings.aliases or ()), value]
        case "driver-opt":
            settings.driver_opts = dict([*(settings.driver_opts or {}).items(), pair(value)])
        case "ip":
            ipam.ipv4_address = value
        case "ip6":
            ipam.ipv6_address = value
        case "link-local-ip":
            ipam.link_local_ips = [*ipam.link_local_ips, value]
        case "mac-address":
            settings.mac_address = value
        case "gw-priority":
            settings.gw_priority = integer(value, key)
        case _:
            raise InvalidArgument(f"invalid field key {key}")


def restart_policy(text: str) -> RestartPolicy:
    """Return `name[:count]`."""
    name, colon, count = text.partition(":")
    if colon and not count.lstrip("-").isdigit():
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
    if text and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    return RestartPolicy(name=name, maximum_retry_count=int(count or 0))


def _device_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise InvalidArgument(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format for device path: {text}")
    return path, value


def _count(text: str) -> int:
    return -1 if text == "all" else integer(text, "count")
