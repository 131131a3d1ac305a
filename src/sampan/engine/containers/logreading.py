"""Reading containers' logs: from the API's options to the log files' reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sampan.engine.containers.service import LogOptions
from sampan.engine.containers.table import Container
from sampan.store.paths import DataPaths


@dataclass(frozen=True)
class LogReading:
    """Opens the log of a container."""

    paths: DataPaths

    def __call__(self, container: Container, options: LogOptions, ended: asyncio.Event) -> AsyncIterator[bytes]:
        raise NotImplementedError
