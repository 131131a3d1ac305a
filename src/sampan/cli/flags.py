"""Flags as docker's commands take them (the grammar of Go's pflag).

-i -t -d = -itd        -p 80:80 = -p80:80 = -p=80:80        --name x = --name=x        --rm = --rm=true
--   ends flags        words and flags may mix, unless the command says that its first word ends flags (run, exec)
"""

from __future__ import annotations

from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

REPEATED = frozenset({"list", "filter", "map", "mount", "network", "ulimit", "gpu-request"})
INTEGERS = frozenset({"int", "uint16"})
TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class UsageError(Exception):
    """The command line can't be understood; the usage line goes with the message, and `verb` 'x --help' after it."""

    def __init__(self, message: str, verb: str = "Run") -> None:
        super().__init__(message)
        self.verb = verb


class Exit(Exception):
    """Ends the command with a code, after what it has to say."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Flag:
    """One flag. `kind` is the word in the help and decides how a value is read, unless `read` does; `shown` is the
    default in the help."""

    __slots__ = ("aliases", "default", "help", "hidden", "kind", "name", "read", "short", "shown")

    def __init__(
        self,
        name: str,
        kind: str,
        help: str,
        short: str = "",
        default: object = None,
        shown: str = "",
        aliases: tuple[str, ...] = (),
        hidden: bool = False,
        read: Callable[[str], Any] | None = None,
    ) -> None:
        self.name, self.kind, self.help, self.short, self.default = name, kind, help, short, default
        self.shown, self.aliases, self.hidden, self.read = shown, aliases, hidden, read

    def __str__(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Arguments:
    """What was given: `words` and the values of flags, by the flag's name."""

    def __init__(self, flags: Sequence[Flag], words: list[str], values: dict[str, Any]) -> None:
        self.words = words
        self._flags = {flag.name: flag for flag in flags}
        self._values = values

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self._values

    def truth(self, name: str) -> bool:
        return bool(self._get(name, False))

    def text(self, name: str) -> str:
        return str(self._get(name, ""))

    def number(self, name: str) -> int:
        return int(self._get(name, 0))

    def texts(self, name: str) -> list[str]:
        return list(self._get(name, ()))

    def values(self, name: str) -> list[Any]:
        """Return what a repeated flag's own reader made of its values."""
        return list(self._get(name, ()))

    def _get(self, name: str, zero: object) -> Any:
        if name in self._values:
            return self._values[name]
        default = self._flags[name].default
        return zero if default is None else default


def parse(flags: Sequence[Flag], argv: Sequence[str], interspersed: bool = True) -> Arguments:
    """Return the words and flags of `argv`. Raises UsageError with pflag's message."""
    parser = _Parser(flags)
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if word.startswith("--"):
            parser.long(word[2:], rest)
        elif word.startswith("-") and word != "-":
            parser.cluster(word[1:], rest)
        else:
            words.append(word)
            if not interspersed:
                words += rest
                break
    return Arguments(flags, words, parser.values)


class _Parser:
    def __init__(self, flags: Sequence[Flag]) -> None:
        self.values: dict[str, Any] = {}
        self._long = {name: flag for flag in flags for name in (flag.name, *flag.aliases)}
        self._short = {flag.short: flag for flag in flags if flag.short}

    def long(self, text: str, rest: list[str]) -> None:
        name, equals, value = text.partition("=")
        flag = self._long.get(name)
        if flag is None:
            raise UsageError(f"unknown flag: --{name}")
        if not equals:
            if flag.kind == "bool":
                value = "true"
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: --{name}")
        self._set(flag, value)

    def cluster(self, letters: str, rest: list[str]) -> None:
        whole = letters
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._short.get(letter)
            if flag is None:
                raise UsageError(f"unknown shorthand flag: {letter!r} in -{whole}")
            if letters.startswith("="):
                return self._set(flag, letters[1:])
            if flag.kind != "bool":
                if not letters and not rest:
                    raise UsageError(f"flag needs an argument: {letter!r} in -{whole}")
                return self._set(flag, letters or rest.pop(0))
            self._set(flag, "true")

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = (flag.read or _READERS.get(flag.kind, str))(text)
        except (InvalidArgument, ValueError) as error:
            raise UsageError(f'invalid argument "{text}" for "{flag}" flag: {error}') from None
        if flag.kind in REPEATED:
            self.values.setdefault(flag.name, []).append(value)
        elif flag.kind == "strings":
            self.values.setdefault(flag.name, []).extend(value)
        else:
            self.values[flag.name] = value


def _truth(text: str) -> bool:
    if text not in TRUTHS:
        raise InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return TRUTHS[text]


def _integer(text: str) -> int:
    try:
        return int(text, 10)
    except ValueError:
        raise InvalidArgument(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _bytes(text: str) -> int:
    from sampan.cli.render.units import parse_bytes

    return parse_bytes(text)


def _duration(text: str) -> int:
    from sampan.wire.codec import parse_duration

    return parse_duration(text)


def _cpus(text: str) -> int:
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdigit():
        raise InvalidArgument(f"failed to parse {text} as a rational number")
    if len(fraction.rstrip("0")) > 9:
        raise InvalidArgument("value is too precise")
    return int(whole or 0) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)


_READERS: dict[str, Callable[[str], Any]] = {
    "bool": _truth,
    **dict.fromkeys(INTEGERS, _integer),
    "bytes": _bytes,
    "duration": _duration,
    "decimal": _cpus,
    "strings": lambda text: text.split(","),
}
