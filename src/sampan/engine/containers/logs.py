"""Log drivers and their options: what a container's LogConfig asks of the monitor. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.engine.containers.record import ContainerRecord
from sampan.errors import InvalidArgument
from sampan.templates.template import Row, Template, TemplateError
from sampan.wire.containers import ContainerConfig, LogConfig
from sampan.wire.numbers import whole

DRIVERS = ("json-file", "local", "none")
READABLE = ("json-file", "local")
_FILE_OPTIONS = ("max-size", "max-file", "compress", "mode", "max-buffer-size")
_ATTRIBUTE_OPTIONS = ("labels", "labels-regex", "env", "env-regex", "tag")
_KNOWN = {"json-file": _FILE_OPTIONS + _ATTRIBUTE_OPTIONS, "local": _FILE_OPTIONS, "none": ("mode", "max-buffer-size")}

DEFAULT_SIZE = 100_000_000
DEFAULT_FILES = 10


@dataclass(frozen=True)
class LogPlan:
    """How a log is written: rotated at `max_size` bytes (0: never), `max_file` files kept, the rotated compressed."""

    driver: str
    max_size: int = DEFAULT_SIZE
    max_file: int = DEFAULT_FILES
    compress: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)


def plan_log(log: LogConfig, config: ContainerConfig) -> LogPlan:
    """Read a LogConfig. Raises InvalidArgument for a driver or an option that is not there, or a value that can't be.

    A log without options is bounded by our defaults; one with options follows docker's (compress only where asked).
    """
    if log.type not in DRIVERS:
        raise InvalidArgument(f"logger: no log driver named '{log.type}' is registered")
    options = log.config or {}
    for name in options:
        if name not in _KNOWN[log.type]:
            raise InvalidArgument(f"unknown log opt '{name}' for {log.type} log driver")
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {options['mode']}")
    if log.type == "none":
        return LogPlan("none")
    max_size = _size(options["max-size"]) if "max-size" in options else DEFAULT_SIZE
    max_file = _count(options["max-file"]) if "max-file" in options else (1 if "max-size" in options else DEFAULT_FILES)
    bounded = "max-size" in options or "max-file" in options
    compress = _boolean(options["compress"]) if "compress" in options else not bounded
    return LogPlan(log.type, max_size, max_file, compress, _attributes(options, config))


def _attributes(options: Mapping[str, str], config: ContainerConfig) -> dict[str, str]:
    found: dict[str, str] = {}
    labels = config.labels or {}
    environment = dict(entry.split("=", 1) for entry in config.env or () if "=" in entry)
    for name in filter(None, options.get("labels", "").split(",")):
        if name in labels:
            found[name] = labels[name]
    for name in filter(None, options.get("env", "").split(",")):
        if name in environment:
            found[name] = environment[name]
    found |= _by_pattern(options.get("labels-regex", ""), labels)
    found |= _by_pattern(options.get("env-regex", ""), environment)
    if options.get("tag"):
        found["tag"] = options["tag"]
        _template(options["tag"])
    return found


def tag_of(record: ContainerRecord, tag: str) -> str:
    """The option `tag`, a Go template, filled in for a container. Raises InvalidArgument."""
    config = record.config
    command = [*(config.entrypoint or ()), *(config.cmd or ())]
    image = record.image_id.partition(":")[2] or record.image_id
    row = {
        "ID": record.id[:12],
        "FullID": record.id,
        "Name": record.name.removeprefix("/"),
        "Hostname": config.hostname,
        "Command": " ".join(command),
        "ImageID": image[:12],
        "ImageFullID": record.image_id,
        "ImageName": record.image_name,
        "DaemonName": "docker",
        "ContainerID": record.id,
        "ContainerName": f"/{record.name.removeprefix('/')}",
        "ContainerEntrypoint": command[0] if command else "",
        "ContainerArgs": command[1:],
        "ContainerImageID": record.image_id,
        "ContainerImageName": record.image_name,
        "ContainerEnv": list(config.env or ()),
        "ContainerLabels": dict(config.labels or {}),
    }
    try:
        return _template(tag).render(Row("loggerutils.Info", row))
    except TemplateError as error:
        raise InvalidArgument(f"invalid log opt 'tag': {error}") from None


def _template(tag: str) -> Template:
    try:
        return Template(tag)
    except TemplateError as error:
        raise InvalidArgument(f"invalid log opt 'tag': {error}") from None


def _by_pattern(pattern: str, values: Mapping[str, str]) -> dict[str, str]:
    import re

    if not pattern:
        return {}
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(f"invalid pattern {pattern!r} in the log options: {error}") from None
    return {name: value for name, value in values.items() if compiled.search(name)}


_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,15})?) ?([kmgt]?)i?b?")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _size(text: str) -> int:
    if text == "-1":
        return 0
    match = _SIZE.fullmatch(text.lower())
    if not match:
        raise InvalidArgument(f"invalid value for max-size: '{text}' (use a number with k, m or g)")
    value = int(float(match[1]) * _UNITS[match[2]])
    if value <= 0:
        raise InvalidArgument("max-size must be a positive number")
    return value


def _count(text: str) -> int:
    count = whole(text)
    if count is None or count < 1:
        raise InvalidArgument(f"invalid value for max-file: '{text}' (a whole number, at least 1)")
    return count


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise InvalidArgument(f"invalid value for compress: '{text}' (true or false)")
    return text.lower() in ("true", "1")
