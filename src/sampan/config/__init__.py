"""What sampand is told: dockerd's flags, and a JSON file with dockerd's keys.

    options    the table of all directives           reading    the command line, the file
    settings   Config: the settings, checked         Source     where a daemon's settings come from, to read them again

A directive may stand on the command line or in the file, not in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sampan.config.options import OPTIONS
from sampan.config.reading import DEFAULT_CONFIG_FILE, command_line, read_file
from sampan.config.settings import Config, checked, parse_size
from sampan.errors import InvalidArgument

__all__ = ["DEFAULT_CONFIG_FILE", "Config", "Source", "load", "parse_size"]

_FALLING_BACK = frozenset(("max_concurrent_downloads", "max_concurrent_uploads", "max_download_attempts"))
"""What is as at first again when it is taken out of the file; everything else stays as it was, as with dockerd."""


class Source:
    """The command line and the file of one daemon. `config` is what they say, `reload` reads the file again.

    Raises InvalidArgument, NotFound (a named file that is not there) or NotImplementedYet; exits for --help and
    --version. `validate_only` is true where only a check was asked for.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._given = {k: v for k, v in vars(command_line().parse_args(arguments)).items() if v is not None}
        named = self._given.pop("config_file", None)
        self.validate_only = bool(self._given.pop("validate", False))
        self.file = Path(named or DEFAULT_CONFIG_FILE)
        from_file = self._read(required=named is not None)
        self._settings = {o.dest: o.default for o in OPTIONS} | from_file | self._given
        self._group_is_default = "group" not in from_file | self._given
        self.config = checked(self._settings, self._group_is_default)

    def _read(self, required: bool) -> dict[str, Any]:
        from_file = read_file(self.file, required)
        both = [
            f"{o.file_key}: (from flag: {self._given[o.dest]}, from file: {from_file[o.dest]})"
            for o in OPTIONS
            if o.dest in self._given and o.dest in from_file
        ]
        if both:
            raise InvalidArgument(
                "the following directives are specified both as a flag and in the configuration file: "
                + ", ".join(both)
            )
        return from_file

    def reload(self, apply: Callable[[Config], None]) -> list[str]:
        """Read the file again and apply what it says of live options; the directives that wait for a restart.

        What the file does not name stays as it was. Raises as the constructor does, and what `apply` raises; then
        nothing has changed.
        """
        from_file = self._read(required=True)
        checked(self._settings | from_file, self._group_is_default)
        fallen_back = {o.dest: o.default for o in OPTIONS if o.dest in _FALLING_BACK - set(self._given)}
        live = {o.dest: from_file[o.dest] for o in OPTIONS if o.live and o.dest in from_file}
        settings = self._settings | fallen_back | live
        config = checked(settings, self._group_is_default)
        apply(config)
        self._settings, self.config = settings, config
        return [o.file_key for o in OPTIONS if o.dest in from_file and from_file[o.dest] != settings[o.dest]]


def load(arguments: Sequence[str]) -> Config:
    """The settings of a command line, the file that it names, and the environment (proxies). Raises as Source does."""
    return Source(arguments).config
