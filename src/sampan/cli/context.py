"""What a command has at hand: the engine, the user's settings, the three standard streams."""

from __future__ import annotations

import os
import sys
from functools import cached_property

from sampan.cli.config import ConfigFolder
from sampan.client import address
from sampan.client.blocking import BlockingTransport, run
from sampan.client.engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

DEFAULT_HOST = "unix:///run/sampan/sampan.sock"


class Cli:
    """One run of the command line. Host, in this order: -H, -c, SAMPAN_HOST, DOCKER_HOST, DOCKER_CONTEXT, current
    context, the default socket."""

    def __init__(
        self, environ: Mapping[str, str], host: str = "", context: str = "", config: str = "", debug: bool = False
    ) -> None:
        self.environ, self.debug = environ, debug
        self._host, self._context = host, context
        home = environ.get("HOME", "/")
        self.config = ConfigFolder(config or environ.get("DOCKER_CONFIG") or f"{home}/.docker")

    @cached_property
    def engine(self) -> Engine:
        transport = BlockingTransport(address.parse(self.host))
        return Engine(transport, self.environ.get("DOCKER_API_VERSION") or None)

    @cached_property
    def host(self) -> str:
        if self.context_name != "default":
            return self.config.context_host(self.context_name)
        return self._host or self._environ_host or DEFAULT_HOST

    @cached_property
    def context_name(self) -> str:
        """The context that decides where the engine is; "default" when it is not a context that does."""
        if self._host:
            return "default"
        if self._context:
            return self._context
        if self._environ_host:
            return "default"
        return self.environ.get("DOCKER_CONTEXT") or self.config.text("currentContext") or "default"

    @property
    def _environ_host(self) -> str:
        return self.environ.get("SAMPAN_HOST") or self.environ.get("DOCKER_HOST") or ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of client calls."""
        return run(work)

    def out(self, text: str) -> None:
        """Write to standard output, as it is."""
        sys.stdout.write(text)

    def err(self, text: str) -> None:
        """Write a line to standard error."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @property
    def stdin_is_terminal(self) -> bool:
        return os.isatty(0)

    @property
    def stdout_is_terminal(self) -> bool:
        return os.isatty(1)
