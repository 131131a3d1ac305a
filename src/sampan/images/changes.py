"""`--change` of import and commit: Dockerfile instructions that only touch an image's config.

CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR HEALTHCHECK
"""

from __future__ import annotations

import posixpath
import re
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from sampan.errors import InvalidArgument
from sampan.images.variables import expand
from sampan.oci.documents import Healthcheck, RunConfig
from sampan.wire import codec
from sampan.wire.numbers import whole

__all__ = ["apply_changes"]

_SHELL = ["/bin/sh", "-c"]
Instruction = Callable[[RunConfig, str], RunConfig]
_REAL_TIME = re.compile(r"RTMIN(\+\d+)?|RTMAX(-\d+)?")
_PORT = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?(?:/(tcp|udp|sctp))?", re.ASCII)


def apply_changes(run: RunConfig, changes: Sequence[str]) -> RunConfig:
    """The config with the instructions applied in their order. Raises InvalidArgument in docker's words.

    One change may be several lines, as a Dockerfile has them. An ENTRYPOINT takes away the command that was there.
    """
    own_command = False
    lines = list(_lines(changes))
    if changes and not lines:
        raise InvalidArgument("file with no instructions")
    for line in lines:
        instruction, _, rest = line.partition(" ")
        apply = _INSTRUCTIONS.get(instruction.upper())
        if apply is None:
            raise InvalidArgument(f"{instruction} is not a valid change command")
        if not rest.strip():
            raise InvalidArgument(f"{instruction.upper()} requires at least one argument")
        run = apply(run, _expanded(apply, rest.strip(), run.env or []))
        own_command = own_command or apply is _cmd
        if apply is _entrypoint and not own_command:
            run = msgspec.structs.replace(run, cmd=None)
    return run


def _expanded(apply: Instruction, text: str, env: Sequence[str]) -> str:
    """The text with the environment's variables, where the instruction has them replaced."""
    if apply not in _EXPANDED:
        return text
    values = dict(entry.split("=", 1) for entry in env if "=" in entry)
    return expand(text, values, quoting=_EXPANDED[apply])


def _lines(changes: Sequence[str]) -> Iterator[str]:
    for change in changes:
        for line in re.sub(r"\\[ \t]*\n", "", change).splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip()


def _cmd(run: RunConfig, text: str) -> RunConfig:
    return msgspec.structs.replace(run, cmd=_command(run, text))


def _entrypoint(run: RunConfig, text: str) -> RunConfig:
    return msgspec.structs.replace(run, entrypoint=_command(run, text))


def _command(run: RunConfig, text: str) -> list[str]:
    listed = _json_list(text)
    return listed if listed is not None else [*(run.shell or _SHELL), text]


def _json_list(text: str) -> list[str] | None:
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _env(run: RunConfig, text: str) -> RunConfig:
    env = list(run.env or [])
    for key, value in _pairs("ENV", text):
        env = [one for one in env if one.partition("=")[0] != key] + [f"{key}={value}"]
    return msgspec.structs.replace(run, env=env)


def _label(run: RunConfig, text: str) -> RunConfig:
    return msgspec.structs.replace(run, labels={**(run.labels or {}), **dict(_pairs("LABEL", text))})


def _pairs(instruction: str, text: str) -> list[tuple[str, str]]:
    words = _words(instruction, text)
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value:
            raise InvalidArgument(f"{instruction} must have two arguments")
        return [(key, value.strip())]
    pairs = [word.partition("=") for word in words]
    for key, equals, _ in pairs:
        if not equals or not key:
            raise InvalidArgument(f"Syntax error - can't find = in {key!r}. Must be of the form: name=value")
    return [(key, value) for key, _, value in pairs]


def _words(instruction: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"{instruction}: {error}") from None


def _expose(run: RunConfig, text: str) -> RunConfig:
    ports = dict(run.exposed_ports or {})
    for word in _words("EXPOSE", text):
        match = _PORT.fullmatch(word)
        if match is None or int(match[2] or match[1]) > 65535:
            raise InvalidArgument(f"Invalid containerPort: {word}")
        for port in range(int(match[1]), int(match[2] or match[1]) + 1):
            ports[f"{port}/{match[3] or 'tcp'}"] = {}
    return msgspec.structs.replace(run, exposed_ports=ports)


def _volume(run: RunConfig, text: str) -> RunConfig:
    listed = _json_list(text)
    paths = listed if listed is not None else _words("VOLUME", text)
    return msgspec.structs.replace(run, volumes={**(run.volumes or {}), **{path: {} for path in paths}})


def _workdir(run: RunConfig, text: str) -> RunConfig:
    return msgspec.structs.replace(run, working_dir=posixpath.normpath(posixpath.join("/", run.working_dir, text)))


def _user(run: RunConfig, text: str) -> RunConfig:
    return msgspec.structs.replace(run, user=text)


def _stop_signal(run: RunConfig, text: str) -> RunConfig:
    name = text.upper().removeprefix("SIG")
    if not (_REAL_TIME.fullmatch(name) or f"SIG{name}" in signal.Signals.__members__ or _is_signal(text)):
        raise InvalidArgument(f"invalid signal: {text}")
    return msgspec.structs.replace(run, stop_signal=text)


def _is_signal(number: str) -> bool:
    return 0 < (whole(number) or 0) <= signal.SIGRTMAX


def _on_build(run: RunConfig, text: str) -> RunConfig:
    return msgspec.structs.replace(run, on_build=[*(run.on_build or []), text])


def _retries(text: str) -> int:
    number = whole(text)
    if number is None or number < 0:
        raise InvalidArgument(f'invalid --retries "{text}": use a whole number, at least 0')
    return number


def _healthcheck(run: RunConfig, text: str) -> RunConfig:
    options: dict[str, Any] = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s*", text):
        name, value = match[1], match[2]
        if name not in _HEALTH_OPTIONS:
            raise InvalidArgument(f"unknown flag: --{name}")
        options[_HEALTH_OPTIONS[name]] = _retries(value) if name == "retries" else codec.parse_duration(value)
        text = text[match.end() :]
    kind, _, command = text.partition(" ")
    if kind.upper() == "NONE":
        return msgspec.structs.replace(run, healthcheck=Healthcheck(test=["NONE"]))
    if kind.upper() != "CMD" or not command.strip():
        raise InvalidArgument(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    listed = _json_list(command)
    test = ["CMD", *listed] if listed is not None else ["CMD-SHELL", command.strip()]
    return msgspec.structs.replace(run, healthcheck=Healthcheck(test=test, **options))


_HEALTH_OPTIONS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
    "retries": "retries",
}
_EXPANDED: dict[Instruction, bool] = {
    _env: True,
    _expose: True,
    _label: True,
    _volume: True,
    _stop_signal: False,
    _user: False,
    _workdir: False,
}
"""The instructions whose variables are replaced, and whether their text is taken apart into words."""
_INSTRUCTIONS: dict[str, Instruction] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
