"""Networks."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from sampan.errors import InvalidArgument
from sampan.http import Response
from sampan.server.call import Call
from sampan.server.filters import Filters
from sampan.server.replies import empty_reply, settled
from sampan.server.table import Operation
from sampan.wire.networks import (
    Network,
    NetworkConnectRequest,
    NetworkCreateRequest,
    NetworkCreateResponse,
    NetworkDisconnectRequest,
    PruneReport,
)


class NetworkBackend(Protocol):
    """What the routes ask of networks; `ref` is a name, an id or the beginning of one."""

    def list(self, filters: Filters) -> Sequence[Network] | Awaitable[Sequence[Network]]:
        """Without containers, as dockerd lists them since API 1.28."""

    def inspect(self, ref: str, scope: str, verbose: bool) -> Network | Awaitable[Network]:
        """`scope` is empty, or only a network of that scope is meant."""

    async def create(self, request: NetworkCreateRequest) -> NetworkCreateResponse: ...

    async def remove(self, ref: str) -> None: ...

    async def connect(self, ref: str, request: NetworkConnectRequest) -> None: ...

    async def disconnect(self, ref: str, request: NetworkDisconnectRequest) -> None: ...

    async def prune(self, filters: Filters) -> PruneReport: ...


async def list_networks(networks: NetworkBackend, call: Call) -> Response:
    """NetworkList."""
    return call.reply(await settled(networks.list(call.filters())))


async def inspect(networks: NetworkBackend, call: Call) -> Response:
    """NetworkInspect."""
    verbose = call.strict_flag("verbose")
    return call.reply(await settled(networks.inspect(call["id"], call.text("scope"), verbose)))


async def create(networks: NetworkBackend, call: Call) -> Response:
    """NetworkCreate."""
    request = await call.json(NetworkCreateRequest, NetworkCreateRequest())
    if not request.name.strip():
        raise InvalidArgument("invalid name: name is empty")
    return call.reply(await networks.create(request), 201)


async def remove(networks: NetworkBackend, call: Call) -> Response:
    """NetworkDelete."""
    await networks.remove(call["id"])
    return empty_reply()


async def connect(networks: NetworkBackend, call: Call) -> Response:
    """NetworkConnect."""
    request = await call.json(NetworkConnectRequest, NetworkConnectRequest())
    _check_container(request.container)
    await networks.connect(call["id"], request)
    return empty_reply(200)


async def disconnect(networks: NetworkBackend, call: Call) -> Response:
    """NetworkDisconnect."""
    request = await call.json(NetworkDisconnectRequest, NetworkDisconnectRequest())
    _check_container(request.container)
    await networks.disconnect(call["id"], request)
    return empty_reply(200)


def _check_container(ref: str) -> None:
    if not ref:
        raise InvalidArgument('invalid name or ID supplied: ""')


async def prune(networks: NetworkBackend, call: Call) -> Response:
    """NetworkPrune."""
    return call.reply(await networks.prune(call.filters()))


OPERATIONS: tuple[Operation[NetworkBackend], ...] = (
    Operation("GET", "/networks", "NetworkList", list_networks),
    Operation("GET", "/networks/", None, list_networks),
    Operation("POST", "/networks/create", "NetworkCreate", create),
    Operation("POST", "/networks/prune", "NetworkPrune", prune),
    Operation("GET", "/networks/{id}", "NetworkInspect", inspect),
    Operation("DELETE", "/networks/{id}", "NetworkDelete", remove),
    Operation("POST", "/networks/{id}/connect", "NetworkConnect", connect),
    Operation("POST", "/networks/{id}/disconnect", "NetworkDisconnect", disconnect),
)
