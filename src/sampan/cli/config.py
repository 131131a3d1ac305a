"""The user's files that docker keeps too, in ~/.docker or $DOCKER_CONFIG.

config.json                          auths, credsStore, credHelpers, detachKeys, psFormat, currentContext, ...
contexts/meta/<sha256 of name>/meta.json      {"Name", "Metadata": {"Description"}, "Endpoints": {"docker": {"Host"}}}
"""

from __future__ import annotations

import os

from sampan.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ConfigFolder:
    """The folder, read when asked."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._loaded: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The contents of config.json, {} where there is none. Raises InvalidArgument when it can't be read."""
        if self._loaded is None:
            self._loaded = _load(os.path.join(self.path, "config.json")) or {}
        return self._loaded

    def text(self, key: str) -> str:
        """Return a string setting, "" where it is not set."""
        value = self.values.get(key, "")
        return value if isinstance(value, str) else ""

    def save(self, values: dict[str, Any]) -> None:
        """Write config.json, for the user's eyes only, in one step."""
        import json

        os.makedirs(self.path, mode=0o700, exist_ok=True)
        path = os.path.join(self.path, "config.json")
        with open(os.open(f"{path}.new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
            json.dump(values, file, indent="\t")
        os.replace(f"{path}.new", path)
        self._loaded = values

    def context_host(self, name: str) -> str:
        """Return the address of context `name`. Raises NotFound."""
        context = self.context(name)
        host = context.get("Endpoints", {}).get("docker", {}).get("Host", "")
        if not host:
            raise InvalidArgument(f'context "{name}" has no docker endpoint')
        return str(host)

    def context(self, name: str) -> dict[str, Any]:
        """Return a context's document. Raises NotFound."""
        found = _load(os.path.join(self.context_folder(name), "meta.json"))
        if found is None:
            raise NotFound(f'context "{name}": context not found: {self.context_folder(name)} does not exist')
        return found

    def context_folder(self, name: str) -> str:
        """Return where a context's document lies."""
        from hashlib import sha256

        return os.path.join(self.path, "contexts", "meta", sha256(name.encode()).hexdigest())

    def contexts(self) -> list[dict[str, Any]]:
        """Return the documents of all contexts, by name."""
        meta = os.path.join(self.path, "contexts", "meta")
        try:
            folders = os.listdir(meta)
        except FileNotFoundError:
            return []
        found = (_load(os.path.join(meta, folder, "meta.json")) for folder in folders)
        return sorted((context for context in found if context), key=lambda context: str(context.get("Name")))


def _load(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    import json

    try:
        loaded = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}") from None
    return loaded if isinstance(loaded, dict) else {}
