"""`sampan container stats`: a thread per container reads its samples, the main thread draws."""

from __future__ import annotations

import sys
import threading
import time

from sampan.cli.command import Command
from sampan.cli.commands import FORMAT
from sampan.cli.flags import Flag
from sampan.cli.render.listing import Listing, short_id
from sampan.cli.render.units import bytes_size, human_size
from sampan.client.blocking import iterate
from sampan.client.blocking import run as drive
from sampan.client.engine import Engine
from sampan.errors import SampanError
from sampan.wire import codec
from sampan.wire.stats import Stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.cli.flags import Arguments

COMMAND = Command(
    "[OPTIONS] [CONTAINER...]",
    (
        Flag("all", "bool", "Show all containers (default shows just running)", "a"),
        FORMAT,
        Flag("no-stream", "bool", "Disable streaming stats and only pull the first result"),
        Flag("no-trunc", "bool", "Do not truncate output"),
    ),
)
INTERVAL = 0.5
CLEAR = "\x1b[H\x1b[J"


class Usage:
    """What a container uses, from its last sample."""

    def __init__(self, ref: str) -> None:
        self.ref = ref
        self.name, self.id = "", ""
        self.known = False
        self.cpu = self.memory = self.limit = 0.0
        self.received = self.sent = self.read = self.written = self.processes = 0

    def take(self, sample: Stats) -> None:
        self.known = True
        self.name, self.id = sample.name.lstrip("/") or self.name, sample.id or self.id
        self.cpu = cpu_percentage(sample)
        self.memory, self.limit = float(memory_used(sample)), float(sample.memory_stats.limit)
        self.received = sum(interface.rx_bytes for interface in sample.networks.values())
        self.sent = sum(interface.tx_bytes for interface in sample.networks.values())
        entries = sample.blkio_stats.io_service_bytes_recursive or ()
        self.read = sum(entry.value for entry in entries if entry.op[:1].lower() == "r")
        self.written = sum(entry.value for entry in entries if entry.op[:1].lower() == "w")
        self.processes = sample.pids_stats.current


def run(cli: Cli, arguments: Arguments) -> int:
    chosen = list(arguments.words)
    usages = [Usage(ref) for ref in chosen or _running(cli, arguments.truth("all"))]
    for usage in usages if chosen else ():
        usage.id = cli.run(cli.engine.containers.inspect(usage.ref)).id
    once = arguments.truth("no-stream")
    threads = [threading.Thread(target=_watch, args=(cli, usage, once), daemon=True) for usage in usages]
    for thread in threads:
        thread.start()
    listing, form = _listing(arguments.truth("no-trunc")), arguments.text("format") or cli.config.text("statsFormat")
    if once:
        for thread in threads:
            thread.join()
        cli.out(listing.render(usages, form))
        return 0
    return _draw(cli, listing, form, usages, threads)


def _draw(cli: Cli, listing: Listing, form: str, usages: list[Usage], threads: list[threading.Thread]) -> int:
    while any(thread.is_alive() for thread in threads):
        cli.out((CLEAR if cli.stdout_is_terminal else "") + listing.render(usages, form))
        sys.stdout.flush()
        time.sleep(INTERVAL)
    return 0


def _running(cli: Cli, all: bool) -> list[str]:
    return [container.id for container in cli.run(cli.engine.containers.ls(all))]


def _watch(cli: Cli, usage: Usage, once: bool) -> None:
    engine = Engine(cli.engine.session.transport, cli.engine.session.version)
    try:
        response = drive(engine.containers.stats(usage.ref, stream=not once))
        for line in iterate(response.lines()):
            usage.take(codec.decode(line, Stats))
    except (SampanError, OSError):
        pass  # The container is gone; its line stays as it was.


def cpu_percentage(sample: Stats) -> float:
    """Return the share of one CPU used between the sample's two readings, in percent."""
    used = sample.cpu_stats.cpu_usage.total_usage - sample.precpu_stats.cpu_usage.total_usage
    passed = sample.cpu_stats.system_cpu_usage - sample.precpu_stats.system_cpu_usage
    cpus = sample.cpu_stats.online_cpus or len(sample.cpu_stats.cpu_usage.percpu_usage)
    return used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0


def memory_used(sample: Stats) -> int:
    """Return the memory used without the page cache that may be dropped, in bytes."""
    memory = sample.memory_stats
    for key in ("total_inactive_file", "inactive_file"):
        inactive = memory.stats.get(key)
        if inactive is not None and inactive < memory.usage:
            return memory.usage - inactive
    return memory.usage


def _listing(whole: bool) -> Listing:
    return Listing(
        {
            "BlockIO": ("BLOCK I/O", lambda u: _pair(u, u.read, u.written)),
            "CPUPerc": ("CPU %", lambda u: f"{u.cpu:.2f}%" if u.known else "--"),
            "Container": ("CONTAINER", lambda u: u.ref),
            "ID": ("CONTAINER ID", lambda u: (u.id if whole else short_id(u.id)) or "--"),
            "MemPerc": ("MEM %", lambda u: f"{u.memory / u.limit * 100 if u.limit else 0:.2f}%" if u.known else "--"),
            "MemUsage": (
                "MEM USAGE / LIMIT",
                lambda u: f"{bytes_size(u.memory)} / {bytes_size(u.limit)}" if u.known else "-- / --",
            ),
            "Name": ("NAME", lambda u: u.name or "--"),
            "NetIO": ("NET I/O", lambda u: _pair(u, u.received, u.sent)),
            "PIDs": ("PIDS", lambda u: str(u.processes) if u.known else "--"),
        },
        "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
        "*container.statsContext",
    )


def _pair(usage: Usage, one: int, other: int) -> str:
    return f"{human_size(one, 3)} / {human_size(other, 3)}" if usage.known else "--"
