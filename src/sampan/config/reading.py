"""Where settings come from: the command line, and a JSON file with dockerd's keys."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from sampan import __version__
from sampan.config.options import OPTIONS, Option
from sampan.errors import InvalidArgument, NotFound, NotImplementedYet

DEFAULT_CONFIG_FILE = "/etc/sampan/daemon.json"


def command_line() -> argparse.ArgumentParser:
    """The parser of sampand's flags; what is not given is None."""
    parser = argparse.ArgumentParser(prog="sampand", description="The Sampan container engine.", allow_abbrev=False)
    parser.add_argument("-v", "--version", action="version", version=f"sampand {__version__}")
    parser.add_argument("--config-file", help=f"JSON file with settings (default {DEFAULT_CONFIG_FILE})")
    parser.add_argument("--validate", action="store_true", help="check the configuration and exit")
    for option in OPTIONS:
        names = [f"-{option.short}"] * bool(option.short) + [f"--{option.flag}"]
        text = option.help or "accepted, without effect" * option.inert
        if option.kind == "bool":
            parser.add_argument(*names, dest=option.dest, nargs="?", const=True, type=_boolean, help=text)
        elif option.kind == "int":
            parser.add_argument(*names, dest=option.dest, type=int, help=text)
        elif option.kind in ("list", "map"):
            parser.add_argument(*names, dest=option.dest, action="append", help=text)
        else:
            parser.add_argument(*names, dest=option.dest, help=text)
    return parser


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def read_file(path: Path, required: bool) -> dict[str, Any]:
    """What a file says, by the options' names. Raises InvalidArgument, NotFound when it is required."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if required:
            raise NotFound(f"the configuration file {path} is not there") from None
        return {}
    except OSError as error:
        raise InvalidArgument(f"can't read the configuration file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidArgument(f"the configuration file {path} is not UTF-8") from None
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"the configuration file {path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidArgument(f"the configuration file {path} must hold one JSON object")
    by_key = {o.file_key: o for o in OPTIONS}
    unknown = sorted(set(document) - set(by_key))
    if unknown:
        raise InvalidArgument(
            f"the following directives in {path} don't match any configuration option: {', '.join(unknown)}"
        )
    return {by_key[k].dest: _from_json(by_key[k], v) for k, v in document.items()}


_JSON_KINDS: dict[str, tuple[type, str]] = {
    "str": (str, "a string"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "list": (list, "a list of strings"),
    "map": (dict, "an object of strings"),
}


def _from_json(option: Option, value: Any) -> Any:
    if option.flag == "default-shm-size" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    kind, words = _JSON_KINDS[option.kind]
    fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    if not fits or not (option.later or option.flag in _ENTRIES or _holds_strings(value)):
        raise InvalidArgument(f"the directive {option.file_key} must be {words}")
    if option.flag in _ENTRIES:
        return {name: _ENTRIES[option.flag](name, entry) for name, entry in value.items()}
    return value


def _holds_strings(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(isinstance(item, str) for item in items)


def _runtime_path(name: str, entry: Any) -> str:
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not path:
        raise InvalidArgument(f"the runtime {name} needs a path, as {{{name!r}: {{'path': '/usr/bin/crun'}}}}")
    if further := sorted(set(entry) - {"path"}):
        raise NotImplementedYet(f"the runtime {name}: {', '.join(further)} is not there yet, only a path")
    return path


def _ulimit_entry(name: str, entry: Any) -> str:
    if not isinstance(entry, dict) or not all(type(entry.get(part, 0)) is int for part in ("Soft", "Hard")):
        raise InvalidArgument(f"the ulimit {name} must be an object with Soft and Hard, whole numbers")
    return f"{entry.get('Soft', 0)}:{entry.get('Hard', entry.get('Soft', 0))}"


_ENTRIES = {"add-runtime": _runtime_path, "default-ulimit": _ulimit_entry}
"""Maps of objects, and what makes a flag's text of one."""
