"""What a container finds in /etc/hosts and /etc/resolv.conf. Pure over the host's own files, given as text.

A resolver on the host's loopback can't be reached from another network namespace: such name servers are left out, and
when none is left, public ones stand in, as in Docker's engine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from sampan.errors import InvalidArgument

__all__ = ["DnsOptions", "hosts_file", "resolv_conf"]

_LOCAL_NAMES = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")
_HEAD = "# Made by sampand at the container's start, from the host's file and the container's settings.\n\n"


@dataclass(frozen=True)
class DnsOptions:
    """A container's wishes; an empty one leaves the host's. A search list of `.` is none at all."""

    servers: Sequence[str] = ()
    search: Sequence[str] = ()
    options: Sequence[str] = ()


def hosts_file(
    hostname: str, domainname: str, address: str, extra_hosts: Sequence[str], host_gateway: str, host_file: str = ""
) -> str:
    """/etc/hosts: the local names (or the host's own file), the user's `name:address` entries, then the container's.

    `host_gateway` replaces the address host-gateway. Raises InvalidArgument where that is asked for and unknown.
    """
    lines = [f"{_address(entry, host_gateway)}\t{entry.partition(':')[0]}\n" for entry in extra_hosts]
    if address:
        names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
        lines.append(f"{address}\t{names}\n")
    base = host_file or _LOCAL_NAMES
    return (base if base.endswith("\n") else base + "\n") + "".join(lines)


def _address(entry: str, host_gateway: str) -> str:
    address = entry.partition(":")[2]
    if address != "host-gateway":
        return address
    if not host_gateway:
        raise InvalidArgument("unable to derive the IP value for host-gateway")
    return host_gateway


def resolv_conf(host_file: str, wanted: DnsOptions, *, shares_host: bool = False) -> str:
    """/etc/resolv.conf; `shares_host`: in the host's network namespace, where its loopback servers can be reached.

    Raises InvalidArgument for a name server that is no address.
    """
    servers, search, options = _parse(host_file)
    if not shares_host:
        servers = [server for server in servers if not _is_local(server)] or list(_PUBLIC_SERVERS)
    servers = [_checked(server) for server in wanted.servers] or servers
    search = [] if list(wanted.search) == ["."] else list(wanted.search) or search
    options = list(wanted.options) or options
    lines = [f"nameserver {server}\n" for server in servers]
    lines += [f"search {' '.join(search)}\n"] if search else []
    lines += [f"options {' '.join(options)}\n"] if options else []
    return _HEAD + "".join(lines)


def _parse(text: str) -> tuple[list[str], list[str], list[str]]:
    """Name servers, the last search list, all options."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *names]:
                search = names
            case ["options", *found]:
                options += found
    return servers, search, options


def _is_local(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True


def _checked(server: str) -> str:
    try:
        return str(ipaddress.ip_address(server))
    except ValueError:
        raise InvalidArgument(f"bad nameserver address {server}: not an IP address") from None
