"""The key sequence that leaves a terminal without ending what runs in it. Pure."""

from __future__ import annotations

from sampan.errors import InvalidArgument

DEFAULT = "ctrl-p,ctrl-q"


def parse_detach_keys(text: str) -> bytes:
    """The bytes of `ctrl-p,ctrl-q` or `a,ctrl-[`; the default for "". Raises InvalidArgument."""
    keys = bytearray()
    for key in (text or DEFAULT).split(","):
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif key.startswith("ctrl-") and len(key) == 6 and (code := _control(key[5])) is not None:
            keys.append(code)
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided: unknown character: '{key}'")
    return bytes(keys)


def _control(character: str) -> int | None:
    if character.isascii() and character.isalpha():
        return ord(character.lower()) - ord("a") + 1
    return {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}.get(character)


class DetachScanner:
    """Looks for the sequence in what is typed, and holds back what may be its beginning."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on now, and whether the sequence was typed (then the rest is dropped)."""
        data = self._held + data
        position = data.find(self._keys)
        if position >= 0:
            self._held = b""
            return data[:position], True
        keep = next(
            n
            for n in range(min(len(self._keys) - 1, len(data)), -1, -1)
            if self._keys.startswith(data[len(data) - n :])
        )
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep], False

    def rest(self) -> bytes:
        """What was held back, at the end of input."""
        held, self._held = self._held, b""
        return held
