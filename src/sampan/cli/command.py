"""What a command's module declares."""

from __future__ import annotations

from sampan.cli.flags import Flag, UsageError


class Command:
    """A command: what follows its name in the usage line, its flags, and how many words it takes.

    `interspersed` False: the first word ends flags, for commands that take another command's words.
    """

    __slots__ = ("flags", "interspersed", "least", "long", "most", "usage")

    def __init__(
        self,
        usage: str,
        flags: tuple[Flag, ...] = (),
        least: int = 0,
        most: int | None = None,
        interspersed: bool = True,
        long: str = "",
    ) -> None:
        self.usage, self.flags, self.least, self.most = usage, flags, least, most
        self.interspersed, self.long = interspersed, long

    def check(self, path: str, words: list[str]) -> None:
        """Raise UsageError when there are too few or too many words."""
        count = len(words)
        if self.least == self.most == 0 and count:
            raise UsageError(f"'{path}' accepts no arguments")
        if self.least == self.most and count != self.least:
            raise UsageError(f"'{path}' requires {_arguments(self.least)}")
        if self.most is None and count < self.least:
            raise UsageError(f"'{path}' requires at least {_arguments(self.least)}", "See")
        if self.most is not None and not self.least <= count <= self.most:
            if self.least == 0:
                raise UsageError(f"'{path}' requires at most {_arguments(self.most)}")
            raise UsageError(f"'{path}' requires at least {self.least} and at most {_arguments(self.most)}")


def _arguments(count: int) -> str:
    return f"{count} argument" + ("" if count == 1 else "s")
