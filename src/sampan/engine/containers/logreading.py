"""Reading containers' logs: from the API's options to the reader of the log files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sampan.engine.containers.service import LogOptions
from sampan.engine.containers.table import Container
from sampan.monitor.logs import open_logs
from sampan.monitor.logs.render import LogQuery
from sampan.store.paths import DataPaths


@dataclass(frozen=True)
class LogReading:
    """Opens the log of a container."""

    paths: DataPaths

    def __call__(self, container: Container, options: LogOptions, ended: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """The log as the API sends it; following ends once `ended` is set and everything was read."""
        driver = container.record.host_config.log_config.type
        query = LogQuery(
            stdout=options.stdout,
            stderr=options.stderr,
            follow=options.follow,
            since_ns=options.since,
            until_ns=options.until,
            tail=options.tail,
            timestamps=options.timestamps,
            details=options.details,
            raw=container.record.config.tty,
        )
        return open_logs(self.paths.container_log(container.id, driver), driver, query, ended)
