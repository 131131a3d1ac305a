"""What a process remembers of the uploads it wrote to last; only to be quicker, so the oldest are forgotten."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Recent"]

T = TypeVar("T")
_KEPT = 1024


class Recent(Generic[T]):
    """The latest values by name. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, T] = {}

    def keep(self, name: str, value: T) -> None:
        """Remember a value, and for it forget the oldest when there are many."""
        with self._lock:
            if len(self._values) >= _KEPT:
                del self._values[next(iter(self._values))]
            self._values[name] = value

    def take(self, name: str) -> T | None:
        """The value, which is forgotten with that."""
        with self._lock:
            return self._values.pop(name, None)

    def look(self, name: str) -> T | None:
        """The value, which stays."""
        return self._values.get(name)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._values.clear()
