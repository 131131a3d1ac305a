"""The command `sampand`.

    main ─ config ─ log ─ claim ─ Daemon (objects, inside out) ─ recover ─ listen ─ wait for a signal ─ stop

Stopping leaves containers running (live-restore) unless the configuration says otherwise.
"""

from __future__ import annotations

import asyncio
import gc
import grp
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sampan import __version__, systemd
from sampan.config import Source
from sampan.daemon import settings
from sampan.daemon.claim import Claim
from sampan.daemon.instance import Daemon
from sampan.daemonlog import set_up_logging
from sampan.errors import InvalidArgument, SampanError
from sampan.kernel import syscalls

log = logging.getLogger("sampan.daemon")

SOCKET_MODE = 0o660


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `sampand`."""
    try:
        source = Source(sys.argv[1:] if arguments is None else arguments)
        config = source.config
        if source.validate_only:
            settings.check(config)
            sys.stdout.write("configuration OK\n")
            return
        set_up_logging(config.log_level, config.log_format)
        if os.geteuid() != 0:
            raise InvalidArgument("sampand needs root: it mounts file systems and makes namespaces")
        with Claim(config):
            asyncio.run(serve(source))
    except SampanError as error:
        sys.exit(f"sampand: {error}")


async def serve(source: Source) -> None:
    """Run a daemon until SIGTERM or SIGINT; at SIGHUP it reads its configuration file again."""
    config = source.config
    _prepare_process()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = Daemon(config)
    loop.add_signal_handler(signal.SIGHUP, reload, source, daemon)
    try:
        await daemon.recover()
        for host in config.hosts:
            path = Path(host.removeprefix("unix://"))
            path.parent.mkdir(parents=True, exist_ok=True)
            await daemon.server.listen_unix(path, SOCKET_MODE, group_id(config.group, config.group_is_default))
        gc.collect()
        gc.freeze()
        log.info("sampand %s listens on %s", __version__, ", ".join(config.hosts))
        systemd.tell(config.environment, systemd.READY)
        await stop.wait()
        log.info("stopping")
        systemd.tell(config.environment, systemd.STOPPING)
    finally:
        await daemon.stop()


def reload(source: Source, daemon: Daemon) -> None:
    """Read the configuration file again. What is wrong with it is logged, and everything stays as it was."""
    log.info("reading the configuration file %s again", source.file)
    try:
        waiting = source.reload(daemon.reconfigure)
    except SampanError as error:
        log.error("the configuration was not reloaded, the settings stay as they are: %s", error)
        return
    set_up_logging(source.config.log_level, source.config.log_format)
    if waiting:
        log.warning("these directives wait for a restart of the daemon: %s", ", ".join(waiting))


def _prepare_process() -> None:
    """Take as many descriptors as may be had; become the one that the monitor's orphans fall to; keep memory small."""
    syscalls.share_one_heap()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    os.umask(0o022)


def group_id(name: str, optional: bool) -> int:
    """The group of the socket; root's where the default one does not exist. Raises InvalidArgument."""
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if optional:
            return 0
        raise InvalidArgument(f"group {name} does not exist: make it, or give another with --group") from None
