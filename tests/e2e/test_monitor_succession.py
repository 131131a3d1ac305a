"""The monitor dies; its containers do not notice, and not a byte of their logs or an exit code is lost."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest
from monitor_kit import Kit, logged, read_all, unframe

from sampan.errors import Unavailable
from sampan.monitor.client import Channel, RuntimeFailed
from sampan.monitor.succession import monitor_command

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
async def kit():
    kit = Kit()
    await kit.client.ensure()
    yield kit
    await kit.stop()


async def test_a_successor_carries_on(kit: Kit):
    channel = Channel(stdin=True, stdout=True, stderr=True)
    request = kit.request("/bin/sh", "-c", "cat; echo bye; exit 5", open_stdin=True, stdin_once=True)
    started = await kit.client.start(request, [channel])
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(channel.socket, b"one\n")
    assert unframe(await loop.sock_recv(channel.socket, 100)) == {1: b"one\n"}
    await kit.kill_monitor()
    await loop.sock_sendall(channel.socket, b"two\n")
    assert unframe(await loop.sock_recv(channel.socket, 100)) == {1: b"two\n"}
    assert (await kit.client.ensure())[0].pid == started.pid
    channel.socket.shutdown(1)
    assert unframe(await read_all(channel)) == {1: b"bye\n"}
    assert (await kit.exited(request.id)).exit_code == 5
    assert await kit.deleted(request.id) is None
    assert logged(kit.log_path(request.id)) == {"stdout": b"one\ntwo\nbye\n"}


async def test_exit_codes_of_those_that_end_while_no_monitor_lives(kit: Kit):
    requests = [kit.request("/bin/sh", "-c", f"sleep 0.5; echo end; exit {code}") for code in (3, 4)]
    for request in requests:
        await kit.client.start(request)
    infos = await kit.client.ensure()
    os.kill(kit.client.pid, 19)
    for info in infos:
        os.kill(info.pid, 9)
    await kit.kill_monitor()
    assert [(await kit.exited(request.id)).exit_code for request in requests] == [137, 137]
    assert [await kit.deleted(request.id) for request in requests] == [None, None]


async def test_a_terminal_survives(kit: Kit):
    channel = Channel(stdin=True, stdout=True, stderr=True)
    request = kit.request("/bin/sh", "-c", "stty -echo; read x; echo got $x; read y; exit 2", tty=True, open_stdin=True)
    await kit.client.start(request, [channel])
    await kit.kill_monitor()
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(channel.socket, b"hello\n")
    seen = b""
    while b"got hello\r\n" not in seen:
        seen += await loop.sock_recv(channel.socket, 100)
    await kit.client.resize(request.id, 10, 20)
    await loop.sock_sendall(channel.socket, b"\n")
    assert (await kit.exited(request.id)).exit_code == 2


async def test_both_dead_the_next_daemon_finds_exits_and_adopts_what_lives(kit: Kit):
    living, ended = kit.request("/bin/sleep", "1000"), kit.request("/bin/sh", "-c", "exit 6")
    info = await kit.client.start(living)
    await kit.client.start(ended)
    await kit.deleted(ended.id)
    monitor = kit.client.pid
    kit.client.close()
    os.kill(monitor, 9)
    await asyncio.to_thread(os.waitpid, monitor, 0)
    kit.exits.clear()
    kit.client = kit.new_client()
    found = {info.id: info for info in await kit.client.ensure()}
    assert found[ended.id].exit_code == 6 and living.id not in found
    await kit.client.forget(ended.id)
    assert await kit.client.adopt(living, info.pid, info.start_time + 1, info.started_at) is None
    assert (await kit.client.adopt(living, info.pid, info.start_time, info.started_at)).pid == info.pid
    os.kill(info.pid, 9)
    assert (await kit.exited(living.id)).exit_code == 137


async def test_no_byte_is_lost_or_doubled_under_load(kit: Kit, request):
    """Writers without pause, in lines and without any, on pipes and a terminal, while monitors die at random."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    script = "i=0; while [ $i -lt {n} ]; do printf '%s-%d{end}' {tag} $i; i=$((i+1)); done"
    lines = kit.request("/bin/sh", "-c", "seq 1 2000000", name="lines")
    bare = kit.request("/bin/sh", "-c", script.format(n=60000, tag="bare", end=" "), name="bare", driver="local")
    tty = kit.request("/bin/sh", "-c", "stty -onlcr; seq 1 60000", name="tty", tty=True)
    errors = kit.request("/bin/sh", "-c", "seq 1 300000 >&2; exit 9", name="errors")
    for each in (lines, bare, tty, errors):
        await kit.client.start(each)
    while len(kit.exits) < 4 or not all(future.done() for future in kit.exits.values()):
        await asyncio.sleep(chance.random() * 0.1)
        await kit.kill_monitor()
    codes = [(await kit.exited(each.id)).exit_code for each in (lines, bare, tty, errors)]
    assert codes == [0, 0, 0, 9]
    assert kit.read_log("lines", "json-file") == b"".join(b"%d\n" % n for n in range(1, 2000001))
    assert logged(kit.log_path("errors"))["stderr"] == b"".join(b"%d\n" % n for n in range(1, 300001))
    assert logged(kit.log_path("tty"))["stdout"] == b"".join(b"%d\n" % n for n in range(1, 60001))
    assert kit.read_log("bare", "local") == b"".join(b"bare-%d " % n for n in range(60000))


async def test_a_monitor_that_dies_amid_starts(kit: Kit):
    """A start is answered with the truth: it runs, or the runtime refused it, or nothing is there."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for turn in range(12):
        request = kit.request("/bin/sh", "-c", f"echo {turn}; exit {turn}")
        starting = asyncio.create_task(kit.client.start(request))
        await asyncio.sleep(chance.random() * 0.02)
        await kit.kill_monitor()
        await starting
        assert (await kit.exited(request.id)).exit_code == turn
        assert await kit.deleted(request.id) is None
        assert logged(kit.log_path(request.id))["stdout"] == b"%d\n" % turn
    for _ in range(3):
        starting = asyncio.create_task(kit.client.start(kit.request("/bin/nosuchthing")))
        await asyncio.sleep(chance.random() * 0.01)
        await kit.kill_monitor()
        with pytest.raises(RuntimeFailed, match="nosuchthing"):
            await starting


async def test_an_upgrade_is_not_noticed(kit: Kit):
    """Under load, with clients on pipes and a terminal, the same process is another program afterwards."""
    lines = kit.request("/bin/sh", "-c", "seq 1 1000000; exit 4")
    echo = kit.request("/bin/cat", open_stdin=True, stdin_once=True)
    terminal = kit.request("/bin/sh", "-c", "stty -echo; read x; stty size", tty=True, open_stdin=True, size=(20, 30))
    seen, channel, screen = (Channel(stdin=True, stdout=True, stderr=True) for _ in range(3))
    reading = asyncio.create_task(read_all(seen))
    before = kit.client.pid
    await kit.client.start(lines, [seen])
    await kit.client.start(echo, [channel])
    await kit.client.start(terminal, [screen])
    await kit.client.resize(terminal.id, 44, 55)
    loop = asyncio.get_running_loop()
    for turn in range(5):
        await kit.client.upgrade()
        await loop.sock_sendall(channel.socket, b"%d\n" % turn)
        assert unframe(await loop.sock_recv(channel.socket, 100)) == {1: b"%d\n" % turn}
    channel.socket.shutdown(1)
    await loop.sock_sendall(screen.socket, b"x\n")
    assert await read_all(screen) == b"44 55\r\n"
    output = b"".join(b"%d\n" % number for number in range(1, 1000001))
    assert unframe(await reading) == {1: output}
    assert [(await kit.exited(each.id)).exit_code for each in (lines, echo, terminal)] == [4, 0, 0]
    assert logged(kit.log_path(lines.id)) == {"stdout": output}
    assert kit.client.pid == before and (await kit.run("/bin/true")).exit_code == 0


OLDER = {
    "goes over": "",
    "can not go over": "del main.Monitor.op_upgrade",
    "leaves what is not understood": "freeze = main.Monitor._freeze; main.Monitor._freeze = "
    "lambda self, seq: {key: value for key, value in freeze(self, seq).items() if key != 'soft_limit'}",
}
COUNT = "trap stop=1 TERM; n=0; until [ $stop ]; do n=$((n+1)); echo $n; done; echo last $n; exit 4"


def older_monitor(exec_root: Path, change: str) -> list[str]:
    """The command of a monitor that speaks an older version, and that the code `change` changes besides."""
    *command, code, root = monitor_command(exec_root)
    find_package, _ = code.split("from sampan", 1)
    patch = "from sampan.monitor import main, protocol; protocol.VERSION = 0"
    return [*command, "\n".join([find_package, patch, change, "main.main(*sys.argv[1:])"]), root]


@pytest.mark.parametrize("change", OLDER.values(), ids=OLDER)
async def test_the_monitor_of_an_older_daemon_is_taken_over(monkeypatch, change):
    """Whether it can be upgraded or must be replaced, under load: not a byte is lost, and ends are told as ever."""
    kit = Kit()
    writer, quiet, ended = kit.request("/bin/sh", "-c", COUNT), *(kit.request("/bin/sleep", "1000") for _ in range(2))
    with monkeypatch.context() as older:
        older.setattr("sampan.monitor.protocol.VERSION", 0)
        older.setattr("sampan.monitor.succession.monitor_command", lambda root: older_monitor(root, change))
        running = [await kit.client.start(each) for each in (writer, quiet, ended)]
        monitor = kit.client.pid
        kit.client.close()
    os.kill(running[2].pid, 9)
    kit.client = kit.new_client()
    found = await kit.client.ensure()
    assert {info.id: info.pid for info in found} == {info.id: info.pid for info in running}
    for info in found:
        if info.state == "exited" and info.id not in kit.exits:  # it was found so, which is no news
            kit._on_exit(info)
    assert (kit.client.pid == monitor) == (not change)
    written = kit.log_path(writer.id).stat().st_size
    while kit.log_path(writer.id).stat().st_size < written + 100_000:  # noqa: ASYNC110 (a file has no event)
        await asyncio.sleep(0.02)
    for each, number in ((running[0], 15), (running[1], 9)):
        os.kill(each.pid, number)
    assert [(await kit.exited(each.id)).exit_code for each in (writer, quiet, ended)] == [4, 137, 137]
    *lines, last = kit.read_log(writer.id, "json-file").splitlines()
    assert lines == [b"%d" % number for number in range(1, len(lines) + 1)] and last == b"last %d" % len(lines)
    assert (await kit.run("/bin/true")).exit_code == 0
    await kit.stop()


async def test_an_upgrade_to_nothing_leaves_all_as_it_is(kit: Kit, monkeypatch):
    monkeypatch.setattr("sampan.monitor.client.monitor_command", lambda root: ["/nonexistent"])
    with pytest.raises(Unavailable, match="No such file"):
        await kit.client.upgrade()
    assert (await kit.run("/bin/true")).exit_code == 0
