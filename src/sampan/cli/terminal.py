"""The user's terminal: raw mode, size, and the keys that detach."""

from __future__ import annotations

import os
import termios

from sampan.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_KEYS = "ctrl-p,ctrl-q"


class RawMode:
    """With it, keys reach us one by one and unchanged; on leaving, the terminal is as it was."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before = termios.tcgetattr(fd)

    def __enter__(self) -> RawMode:
        attributes = termios.tcgetattr(self._fd)
        iflag, oflag, cflag, lflag = attributes[:4]
        iflag &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        oflag &= ~termios.OPOST
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        attributes[:4] = [iflag, oflag, cflag, lflag]
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        termios.tcsetattr(self._fd, termios.TCSANOW, self._before)


def size(fd: int) -> tuple[int, int]:
    """Return (height, width) of the terminal, (0, 0) where there is none."""
    try:
        columns, lines = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return lines, columns


def parse_keys(text: str) -> bytes:
    """Return the bytes of a detach sequence: `a`, `ctrl-p,ctrl-q`, `ctrl-@`. Raises InvalidArgument."""
    keys = bytearray()
    for part in text.split(","):
        control = part.removeprefix("ctrl-")
        if control != part and len(control) == 1 and (control.isalpha() or control in "@[\\]^_"):
            keys.append(ord(control.upper()) & 0x1F)
        elif len(part) == 1 and part.isascii():
            keys.append(ord(part))
        else:
            raise InvalidArgument(f"Unknown character: '{part}' in detach keys: use a letter, or ctrl- and a letter")
    return bytes(keys)


class DetachKeys:
    """Watches input for the sequence; a beginning of it is held back until the next key decides."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.pressed = False

    def filter(self, data: bytes) -> bytes:
        """Return what of `data` is for the container; sets `pressed` at the sequence's last key."""
        if not self._keys:
            return data
        data = self._held + data
        self._held = b""
        place = data.find(self._keys)
        if place >= 0:
            self.pressed = True
            return data[:place]
        for length in range(min(len(self._keys) - 1, len(data)), 0, -1):
            if data.endswith(self._keys[:length]):
                self._held = data[-length:]
                return data[:-length]
        return data
