"""The monitor's dealings with the OCI runtime beside a start: its delete, its terminal, the kernel's OOM count."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable
from typing import Protocol

from sampan.monitor.files import read_file
from sampan.monitor.loop import Loop
from sampan.monitor.protocol import Message
from sampan.monitor.spawn import Spawner

ERROR_LIMIT = 16 * 1024


class DeleteHost(Protocol):
    """What a deletion needs of the monitor."""

    loop: Loop
    spawner: Spawner

    def warn(self, text: str) -> None: ...

    def deletion(self, change: int) -> None: ...


def run_delete(
    host: DeleteHost, name: str, argv: list[str], record: Message, done: Callable[[str | None], None]
) -> None:
    """Run the runtime's delete; `done` gets None or what it said when it failed."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def ended(status: int) -> None:
        host.deletion(-1)
        words = b""
        try:
            words = os.read(reader, ERROR_LIMIT)
        except BlockingIOError:
            pass
        os.close(reader)
        done(None if status == 0 else words.decode(errors="replace").strip() or f"{argv[0]}: wait status {status}")

    try:
        plan = {"unmount": record.get("unmount"), "slave": record.get("slave")}
        child = host.spawner.spawn(argv, record.get("delete_env") or {}, [null, null, writer], plan)
        host.deletion(+1)
        host.loop.on_child(child, ended)
    except OSError as error:
        host.warn(f"{name}: {error}")
        os.close(reader)
        done(str(error))
    finally:
        os.close(writer)
        os.close(null)


def close_some(*descriptors: int | None) -> None:
    """Close those that are there."""
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def receive_terminal(console: int) -> int:
    """The pty master that the runtime sent to the console socket."""
    listener = socket.socket(fileno=os.dup(console))
    try:
        listener.setblocking(False)
        connection, _ = listener.accept()
        with connection:
            connection.setblocking(False)
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        if not descriptors:
            raise ValueError("the runtime sent no terminal to the console socket")
        return descriptors[0]
    finally:
        listener.close()


def was_out_of_memory(record: Message) -> bool:
    """Whether the kernel counts an OOM kill in the container's memory cgroup."""
    path, key = record.get("oom_file"), record.get("oom_key") or "oom_kill"
    if not path:
        return False
    try:
        fields = dict(line.split(None, 1) for line in read_file(path).decode().splitlines() if " " in line)
    except OSError:
        return False
    return int(fields.get(key, "0")) > 0
