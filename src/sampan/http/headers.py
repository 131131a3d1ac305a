"""Header fields of one message: names in any case, order kept, a name may come several times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Headers:
    """Read-only header fields, made from (name, value) pairs as bytes; values are ISO 8859-1 (RFC 9110, 5.5)."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._fields = [(name.lower(), value) for name, value in fields]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of `name`, else `default`."""
        wanted = name.lower().encode()
        for key, value in self._fields:
            if key == wanted:
                return value.decode("latin-1").strip()
        return default

    def get_all(self, name: str) -> list[str]:
        """Every value of `name`, in the order received."""
        wanted = name.lower().encode()
        return [value.decode("latin-1").strip() for key, value in self._fields if key == wanted]

    def tokens(self, name: str) -> list[str]:
        """The elements of a comma-separated field in lower case: `Connection: Upgrade, close`."""
        elements = ",".join(self.get_all(name)).lower().split(",")
        return [element.strip() for element in elements if element.strip()]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, value in self._fields:
            yield name.decode("latin-1"), value.decode("latin-1").strip()

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"
