"""The way in: `Engine` and its nouns.

engine = Engine(BlockingTransport(parse("unix:///run/sampan/sampan.sock")))
created = run(engine.containers.create(CreateRequest(image="busybox", cmd=["true"])))
"""

from __future__ import annotations

from functools import cached_property

from sampan.client.session import Session
from sampan.client.transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.containers import Containers
    from sampan.client.exec import Exec
    from sampan.client.images import Images
    from sampan.client.networks import Networks
    from sampan.client.system import System
    from sampan.client.volumes import Volumes


class Engine:
    """An engine; a noun's module is imported when first used, so that small commands start fast."""

    def __init__(self, transport: Transport, version: str | None = None, user_agent: str | None = None) -> None:
        self.session = Session(transport, version, user_agent)

    @cached_property
    def containers(self) -> Containers:
        from sampan.client.containers import Containers

        return Containers(self.session)

    @cached_property
    def exec(self) -> Exec:
        from sampan.client.exec import Exec

        return Exec(self.session)

    @cached_property
    def images(self) -> Images:
        from sampan.client.images import Images

        return Images(self.session)

    @cached_property
    def networks(self) -> Networks:
        from sampan.client.networks import Networks

        return Networks(self.session)

    @cached_property
    def volumes(self) -> Volumes:
        from sampan.client.volumes import Volumes

        return Volumes(self.session)

    @cached_property
    def system(self) -> System:
        from sampan.client.system import System

        return System(self.session)

    async def close(self) -> None:
        """Close the connections that wait to be used again."""
        await self.session.close()
