"""Operations that Sampan leaves out, and what they answer: as a genuine dockerd 28.5 outside a swarm does.

Each row names the operation, its place, why it is left out, and its answer. Where dockerd looks at the request before
it says so (a missing version, unreadable filters), so does the row: clients can tell their mistake from the daemon's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sampan.errors import InvalidArgument, NotFound, NotImplementedYet, Unavailable
from sampan.http import Response
from sampan.server.call import Call, whole_number
from sampan.server.replies import settled
from sampan.server.table import Route

NO_SWARM = "Sampan runs on one machine; a swarm of several, with what it schedules, is out of scope"
NO_CHECKPOINTS = "dockerd has checkpoints only in its experimental mode; the OpenAPI file has none of them"
NO_PLUGINS = "volumes, networks and logs have drivers of Sampan's own; loading others as plugins is out of scope"

NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)

Check = Callable[[Call], None]


@dataclass(frozen=True)
class Outside:
    """One operation that is left out, and why. `answer` replies or raises."""

    operation_id: str | None
    method: str
    pattern: str
    reason: str
    answer: Callable[[Call], Response | Awaitable[Response]]

    def route(self) -> Route:
        """The route that answers it."""

        async def handle(call: Call) -> Response:
            return await settled(self.answer(call))

        return Route(self.method, self.pattern, self.operation_id, handle)


def _swarm(*checks: Check) -> Callable[[Call], Response]:
    """Look at the request, then say that there is no swarm."""

    def answer(call: Call) -> Response:
        for check in checks:
            check(call)
        raise Unavailable(NOT_A_MANAGER)

    return answer


def _filters(call: Call) -> None:
    call.filters()


def _version_of(noun: str) -> Check:
    def check(call: Call) -> None:
        version = call.text("version")
        try:
            if not version:
                raise InvalidArgument("it is missing")
            whole_number("version", version, 0, 2**64 - 1)
        except InvalidArgument:
            raise InvalidArgument(f'invalid {noun} version "{version}"') from None

    return check


def _status(call: Call) -> None:
    call.strict_flag("status")


def _insert_defaults(call: Call) -> None:
    call.strict_flag("insertDefaults")


def _streams(call: Call) -> None:
    if not (call.flag("stdout") or call.flag("stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")


def _not_in_a_swarm(call: Call) -> Response:
    raise Unavailable("This node is not part of a swarm")


async def _no_new_swarm(call: Call) -> Response:
    request = await call.json(dict[str, Any], {})
    if not request.get("ListenAddr"):
        raise InvalidArgument('invalid ListenAddr "": invalid empty address')
    raise NotImplementedYet(f"swarm mode is not supported: {NO_SWARM}")


def _no_checkpoints(call: Call) -> Response:
    raise NotImplementedYet(
        "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to "
        "enable it."
    )


def _no_cluster_volume(call: Call) -> Response:
    raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")


def _no_plugins(call: Call) -> Response:
    unknown = set(call.filters()) - {"capability", "enabled"}
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    return call.reply([])


def _no_such_plugin(call: Call) -> Response:
    raise NotFound(f'plugin "{call["name"]}" not found')


def _enable_plugin(call: Call) -> Response:
    whole_number("timeout", call.text("timeout"))
    return _no_such_plugin(call)


def _no_new_plugin(call: Call) -> Response:
    raise NotImplementedYet(f"plugins are not supported: {NO_PLUGINS}")


OUTSIDE: tuple[Outside, ...] = (
    Outside("SwarmInspect", "GET", "/swarm", NO_SWARM, _swarm()),
    Outside("SwarmInit", "POST", "/swarm/init", NO_SWARM, _no_new_swarm),
    Outside("SwarmJoin", "POST", "/swarm/join", NO_SWARM, _no_new_swarm),
    Outside("SwarmLeave", "POST", "/swarm/leave", NO_SWARM, _not_in_a_swarm),
    Outside("SwarmUpdate", "POST", "/swarm/update", NO_SWARM, _swarm(_version_of("swarm"))),
    Outside("SwarmUnlockkey", "GET", "/swarm/unlockkey", NO_SWARM, _swarm()),
    Outside("SwarmUnlock", "POST", "/swarm/unlock", NO_SWARM, _swarm()),
    Outside("NodeList", "GET", "/nodes", NO_SWARM, _swarm(_filters)),
    Outside("NodeInspect", "GET", "/nodes/{id}", NO_SWARM, _swarm()),
    Outside("NodeDelete", "DELETE", "/nodes/{id}", NO_SWARM, _swarm()),
    Outside("NodeUpdate", "POST", "/nodes/{id}/update", NO_SWARM, _swarm(_version_of("node"))),
    Outside("ServiceList", "GET", "/services", NO_SWARM, _swarm(_filters, _status)),
    Outside("ServiceCreate", "POST", "/services/create", NO_SWARM, _swarm()),
    Outside("ServiceLogs", "GET", "/services/{id}/logs", NO_SWARM, _swarm(_streams)),
    Outside("ServiceInspect", "GET", "/services/{id}", NO_SWARM, _swarm(_insert_defaults)),
    Outside("ServiceDelete", "DELETE", "/services/{id}", NO_SWARM, _swarm()),
    Outside("ServiceUpdate", "POST", "/services/{id}/update", NO_SWARM, _swarm(_version_of("service"))),
    Outside("TaskList", "GET", "/tasks", NO_SWARM, _swarm(_filters)),
    Outside("TaskLogs", "GET", "/tasks/{id}/logs", NO_SWARM, _swarm(_streams)),
    Outside("TaskInspect", "GET", "/tasks/{id}", NO_SWARM, _swarm()),
    Outside("SecretList", "GET", "/secrets", NO_SWARM, _swarm(_filters)),
    Outside("SecretCreate", "POST", "/secrets/create", NO_SWARM, _swarm()),
    Outside("SecretInspect", "GET", "/secrets/{id}", NO_SWARM, _swarm()),
    Outside("SecretDelete", "DELETE", "/secrets/{id}", NO_SWARM, _swarm()),
    Outside("SecretUpdate", "POST", "/secrets/{id}/update", NO_SWARM, _swarm(_version_of("secret"))),
    Outside("ConfigList", "GET", "/configs", NO_SWARM, _swarm(_filters)),
    Outside("ConfigCreate", "POST", "/configs/create", NO_SWARM, _swarm()),
    Outside("ConfigInspect", "GET", "/configs/{id}", NO_SWARM, _swarm()),
    Outside("ConfigDelete", "DELETE", "/configs/{id}", NO_SWARM, _swarm()),
    Outside("ConfigUpdate", "POST", "/configs/{id}/update", NO_SWARM, _swarm(_version_of("config"))),
    Outside(None, "GET", "/containers/{id}/checkpoints", NO_CHECKPOINTS, _no_checkpoints),
    Outside(None, "POST", "/containers/{id}/checkpoints", NO_CHECKPOINTS, _no_checkpoints),
    Outside(None, "DELETE", "/containers/{id}/checkpoints/{checkpoint}", NO_CHECKPOINTS, _no_checkpoints),
    Outside("VolumeUpdate", "PUT", "/volumes/{name}", NO_SWARM, _no_cluster_volume),
    Outside("PluginList", "GET", "/plugins", NO_PLUGINS, _no_plugins),
    Outside("GetPluginPrivileges", "GET", "/plugins/privileges", NO_PLUGINS, _no_new_plugin),
    Outside("PluginPull", "POST", "/plugins/pull", NO_PLUGINS, _no_new_plugin),
    Outside("PluginCreate", "POST", "/plugins/create", NO_PLUGINS, _no_new_plugin),
    Outside("PluginInspect", "GET", "/plugins/{name}/json", NO_PLUGINS, _no_such_plugin),
    Outside("PluginDelete", "DELETE", "/plugins/{name}", NO_PLUGINS, _no_such_plugin),
    Outside("PluginEnable", "POST", "/plugins/{name}/enable", NO_PLUGINS, _enable_plugin),
    Outside("PluginDisable", "POST", "/plugins/{name}/disable", NO_PLUGINS, _no_such_plugin),
    Outside("PluginUpgrade", "POST", "/plugins/{name}/upgrade", NO_PLUGINS, _no_such_plugin),
    Outside("PluginPush", "POST", "/plugins/{name}/push", NO_PLUGINS, _no_such_plugin),
    Outside("PluginSet", "POST", "/plugins/{name}/set", NO_PLUGINS, _no_such_plugin),
)
"""In the order of the OpenAPI file; of patterns that overlap, the longer comes first."""
