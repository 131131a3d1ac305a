"""Links between containers on the default bridge, docker's way from before there were networks of one's own.

HostConfig.Links  "name:alias" ─ at create ─> ContainerRecord.links  {alias: id of the other}
at each start     the other's address in /etc/hosts, its ports and environment as variables of ours
names             the other is also called /OURS/ALIAS, until it or the link is removed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sampan.engine.containers.record import ContainerRecord
from sampan.engine.containers.table import Container, Table
from sampan.engine.ports import ports_named
from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError

_NOT_PASSED = ("HOME", "PATH")


@dataclass(frozen=True)
class Port:
    """An exposed port."""

    number: int
    protocol: str


@dataclass(frozen=True)
class Link:
    """A link as the start of its container needs it: `owner` and `name` are containers' names."""

    owner: str
    alias: str
    name: str
    host_name: str
    address: str
    ports: Sequence[Port]
    env: Sequence[str]


class Links:
    """One per daemon. `address_of` gives a container's address on the default bridge, "" when it has none."""

    def __init__(self, table: Table, address_of: Callable[[ContainerRecord], str]) -> None:
        self._table = table
        self._address_of = address_of

    def resolve(self, wanted: Sequence[str]) -> dict[str, str]:
        """The ids of the containers that HostConfig.Links names, by alias. Raises InvalidArgument."""
        found = {}
        for text in wanted:
            name, alias = parse_link(text)
            try:
                other = self._table.find(name)
            except SampanError as error:
                raise InvalidArgument(f"could not get container for {name}: {error}") from None
            if other.record.host_config.network_mode == "host":
                raise InvalidArgument(
                    "conflicting options: host type networking can't be used with links. "
                    "This would result in undefined behavior"
                )
            found[alias] = other.id
        return found

    def of(self, record: ContainerRecord) -> list[Link]:
        """The links of a container that is started. Raises Conflict where another does not run."""
        return [self._link(record, alias, other) for alias, other in self._others(record)]

    def _link(self, record: ContainerRecord, alias: str, other: Container) -> Link:
        if not other.running:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS /{record.name}/{alias}")
        config = other.record.config
        return Link(
            record.name,
            alias,
            other.name,
            config.hostname,
            self._address_of(other.record),
            sorted(_ports(config.exposed_ports), key=lambda port: (port.protocol != "tcp", port.number)),
            config.env or (),
        )

    def _others(self, record: ContainerRecord) -> Iterator[tuple[str, Container]]:
        for alias, identity in record.links.items():
            other = self._table.get(identity)
            if other is not None:
                yield alias, other

    def shown(self, record: ContainerRecord) -> list[str] | None:
        """HostConfig.Links as inspect shows it."""
        found = sorted(f"/{other.name}:/{record.name}/{alias}" for alias, other in self._others(record))
        return found or None

    def names(self) -> dict[str, list[str]]:
        """The further names that links give to containers, by id."""
        found: dict[str, list[str]] = {}
        for container in self._table:
            for alias, identity in container.record.links.items():
                found.setdefault(identity, []).append(f"/{container.name}/{alias}")
        return found

    async def remove(self, ref: str) -> None:
        """Undo the link of that name. Raises NotFound, Conflict for a container's own name."""
        owner, _, alias = ref.strip("/").rpartition("/")
        if not owner:
            raise Conflict("Conflict, cannot remove the default link name of the container")
        container = self._table.find(owner)
        if alias not in container.record.links:
            raise NotFound(f"No such container: {ref}")
        async with container.queue:
            container.record.links = {a: i for a, i in container.record.links.items() if a != alias}
            await self._table.save(container)


def parse_link(text: str) -> tuple[str, str]:
    """Name and alias of `name`, `name:alias`, or `/name:/owner/alias` as inspect shows it. Raises InvalidArgument."""
    name, colon, alias = text.partition(":")
    if not text or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}" if text else "empty string specified for links")
    if name.startswith("/") or alias.startswith("/"):
        name, alias = name.removeprefix("/"), alias.rpartition("/")[2]
        return name, alias or name
    return name, alias if colon else name


def host_lines(links: Iterable[Link]) -> str:
    """The lines for /etc/hosts."""
    lines = []
    for link in links:
        names = dict.fromkeys(name for name in (link.alias, link.host_name, link.name) if name)
        lines += [f"{link.address}\t{' '.join(names)}\n"] if link.address else []
    return "".join(lines)


def with_hosts(text: str, links: Sequence[Link]) -> str:
    """A hosts file with the links before its last line, which is the container's own."""
    *others, own = text.splitlines(keepends=True) or [""]
    return "".join(others) + host_lines(links) + own


def environment(links: Iterable[Link]) -> list[str]:
    """The variables by which a container finds what it is linked to."""
    return [entry for link in links for entry in _variables(link)]


def _variables(link: Link) -> Iterator[str]:
    prefix = link.alias.upper().replace("-", "_")
    if link.ports:
        yield f"{prefix}_PORT={_url(link, link.ports[0])}"
    for port in link.ports:
        name = f"{prefix}_PORT_{port.number}_{port.protocol.upper()}"
        yield f"{name}={_url(link, port)}"
        yield f"{name}_ADDR={link.address}"
        yield f"{name}_PORT={port.number}"
        yield f"{name}_PROTO={port.protocol}"
    for first, last in _ranges(link.ports):
        name = f"{prefix}_PORT_{first.number}_{first.protocol.upper()}"
        yield f"{name}_START={_url(link, first)}"
        yield f"{name}_PORT_START={first.number}"
        yield f"{name}_END={_url(link, last)}"
        yield f"{name}_PORT_END={last.number}"
    yield f"{prefix}_NAME=/{link.owner}/{link.alias}"
    for entry in link.env:
        name, equals, _ = entry.partition("=")
        if equals and name not in _NOT_PASSED:
            yield f"{prefix}_ENV_{entry}"


def _url(link: Link, port: Port) -> str:
    return f"{port.protocol}://{link.address}:{port.number}"


def _ranges(ports: Sequence[Port]) -> list[tuple[Port, Port]]:
    """First and last of each run of two or more ports in a row."""
    found: list[tuple[Port, Port]] = []
    for one, following in pairwise(ports):
        if following != Port(one.number + 1, one.protocol):
            continue
        if found and found[-1][1] == one:
            found[-1] = (found[-1][0], following)
        else:
            found.append((one, following))
    return found


def _ports(names: Iterable[str]) -> Iterator[Port]:
    for protocol, number in ports_named(names):
        yield Port(number, protocol)
