"""The monitor with the real runtime: starts, ends, logs, clients."""

from __future__ import annotations

import asyncio
import gc
import os
import resource

import pytest
from monitor_kit import Kit, logged, read_all, unframe

from rig.waiting import wait_until
from sampan.monitor.client import Channel, RuntimeFailed
from sampan.monitor.succession import ended

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
async def kit():
    kit = Kit()
    await kit.client.ensure()
    yield kit
    await kit.stop()


async def test_exit_code_log_and_deletion(kit: Kit):
    info = await kit.run("/bin/sh", "-c", "echo out; echo err >&2; exit 7", name="c")
    assert (info.exit_code, info.oom, info.state) == (7, False, "exited")
    assert logged(kit.log_path("c")) == {"stdout": b"out\n", "stderr": b"err\n"}
    assert not (kit.root / "crun" / "c").exists()


async def test_signal_shows_as_128_and_more(kit: Kit):
    info = await kit.run("/bin/sh", "-c", "kill -9 $$")
    assert info.exit_code in (0, 137)  # init of a pid namespace does not die of its own signal
    request = kit.request("/bin/sleep", "1000")
    started = await kit.client.start(request)
    os.kill(started.pid, 9)
    assert (await kit.exited(request.id)).exit_code == 137


async def test_failing_start_tells_the_runtimes_words(kit: Kit):
    channel = Channel(stdin=False, stdout=True, stderr=True)
    with pytest.raises(RuntimeFailed, match="nosuchthing"):
        await kit.client.start(kit.request("/bin/nosuchthing"), [channel])
    assert await read_all(channel) == b""


async def test_attached_client_gets_frames_from_the_first_byte(kit: Kit):
    channel = Channel(stdin=False, stdout=True, stderr=True)
    await kit.client.start(kit.request("/bin/sh", "-c", "echo out; echo err >&2"), [channel])
    assert unframe(await read_all(channel)) == {1: b"out\n", 2: b"err\n"}


async def test_piped_stdin_comes_back_whole(kit: Kit):
    payload = os.urandom(3_000_000)
    channel = Channel(stdin=True, stdout=True, stderr=False)
    await kit.client.start(kit.request("/bin/cat", open_stdin=True, stdin_once=True, driver="none"), [channel])
    loop = asyncio.get_running_loop()

    async def send():
        await loop.sock_sendall(channel.socket, payload)
        channel.socket.shutdown(1)

    sending = asyncio.create_task(send())
    assert unframe(await read_all(channel)) == {1: payload}
    await sending


async def test_terminal(kit: Kit):
    channel = Channel(stdin=True, stdout=True, stderr=True)
    request = kit.request("/bin/sh", "-c", "read x; stty size; echo got $x", tty=True, open_stdin=True, size=(33, 77))
    await kit.client.start(request, [channel])
    await kit.client.resize(request.id, 44, 88)
    await asyncio.get_running_loop().sock_sendall(channel.socket, b"hello\n")
    output = await read_all(channel)
    assert b"44 88\r\n" in output and b"got hello\r\n" in output
    assert logged(kit.log_path(request.id))["stdout"] == output


async def test_several_clients_come_and_go(kit: Kit):
    first = Channel(stdin=True, stdout=True, stderr=True)
    request = kit.request("/bin/cat", open_stdin=True)
    await kit.client.start(request, [first])
    second = Channel(stdin=True, stdout=True, stderr=True)
    await kit.client.attach(request.id, second)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(second.socket, b"one\n")
    assert unframe(await loop.sock_recv(first.socket, 100)) == {1: b"one\n"}
    assert unframe(await loop.sock_recv(second.socket, 100)) == {1: b"one\n"}
    first.close()
    await loop.sock_sendall(second.socket, b"two\n")
    await kit.client.close_stdin(request.id)
    assert unframe(await read_all(second)) == {1: b"two\n"}
    assert logged(kit.log_path(request.id)) == {"stdout": b"one\ntwo\n"}


async def test_exec(kit: Kit):
    container = kit.request("/bin/sleep", "1000")
    await kit.client.start(container)
    channel = Channel(stdin=False, stdout=True, stderr=True)
    request = kit.exec_request(container.id, "/bin/sh", "-c", "echo in; exit 3")
    await kit.client.start(request, [channel])
    assert unframe(await read_all(channel)) == {1: b"in\n"}
    assert (await kit.exited(request.id)).exit_code == 3


async def test_a_client_that_does_not_read_holds_up_its_container_alone(kit: Kit):
    slow = Channel(stdin=False, stdout=True, stderr=True)
    request = kit.request("/bin/sh", "-c", "yes 0123456789abcdef | head -c 20000000")
    await kit.client.start(request, [slow])
    assert (await kit.run("/bin/true")).exit_code == 0
    await asyncio.sleep(0.3)
    assert request.id not in kit.exits
    assert len(unframe(await read_all(slow))[1]) == 20_000_000
    await kit.exited(request.id)
    assert len(kit.read_log(request.id, "json-file")) == 20_000_000


async def test_a_new_daemon_finds_what_runs_and_what_ended(kit: Kit):
    running, ending = kit.request("/bin/sleep", "1000"), kit.request("/bin/sh", "-c", "sleep 0.3; echo late; exit 9")
    await kit.client.start(running)
    await kit.client.start(ending)
    kit.client.close()
    wait_until((kit.paths.monitor_state / "exits" / ending.id).exists, "its exit is written down")
    wait_until(lambda: not (kit.root / "crun" / ending.id).exists(), "the runtime has nothing of it")
    await asyncio.sleep(0.5)  # the monitor has yet to see that the runtime's delete has ended
    kit.client = kit.new_client()
    found = {info.id: info for info in await kit.client.ensure()}
    assert found[running.id].state == "running"
    assert (found[ending.id].state, found[ending.id].exit_code, found[ending.id].deleted) == ("exited", 9, True)
    assert logged(kit.log_path(ending.id)) == {"stdout": b"late\n"}
    kit.exits[ending.id] = asyncio.get_running_loop().create_future()
    kit.exits[ending.id].set_result(found[ending.id])


def descriptors(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def test_no_descriptor_stays_behind(kit: Kit):
    """In the monitor and in the daemon: after ends, refusals, clients that left, terminals, a successor."""

    async def everything() -> None:
        channels = [Channel(stdin=True, stdout=True, stderr=True) for _ in range(3)]
        await kit.run("/bin/echo", "x", channels=channels[:2])
        await kit.run("/bin/echo", "x", tty=True, open_stdin=True, channels=channels[2:])
        for channel in channels:
            channel.close()
        with pytest.raises(RuntimeFailed):
            await kit.client.start(kit.request("/bin/nosuchthing"), [Channel(stdin=False, stdout=True, stderr=True)])
        container = kit.request("/bin/cat", open_stdin=True)
        await kit.client.start(container)
        leaver = Channel(stdin=True, stdout=True, stderr=True)
        await kit.client.attach(container.id, leaver)
        leaver.socket.close()
        command = kit.exec_request(container.id, "/bin/true", tty=True)
        await kit.client.start(command)
        await kit.exited(command.id)
        await kit.kill_monitor()
        await kit.client.close_stdin(container.id)
        await kit.deleted(container.id)
        for info in await kit.client.ensure():
            await kit.client.forget(info.id)
        gc.collect()

    await everything()
    before = descriptors(kit.client.pid), descriptors("self")
    await everything()
    assert (descriptors(kit.client.pid), descriptors("self")) == before


async def test_a_container_gets_the_limits_of_the_daemon_not_of_the_monitor(kit: Kit):
    await kit.run("/bin/sh", "-c", "ulimit -Sn", name="limits")
    assert int(kit.read_log("limits", "json-file")) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def test_output_of_a_process_left_behind_does_not_hold_up_the_exit(kit: Kit):
    """As dockerd: two seconds after the exit what others could still write is no longer waited for."""
    container = kit.request("/bin/sleep", "1000")
    await kit.client.start(container)
    request = kit.exec_request(container.id, "/bin/sh", "-c", "sleep 1000 & echo done; exit 3")
    channel = Channel(stdin=False, stdout=True, stderr=True)
    await kit.client.start(request, [channel])
    assert (await kit.exited(request.id)).exit_code == 3
    assert unframe(await read_all(channel)) == {1: b"done\n"}


async def test_the_monitor_ends_when_it_is_empty_and_told_so(kit: Kit):
    assert (await kit.run("/bin/true", name="c")).exit_code == 0
    monitor = os.pidfd_open(kit.client.pid)
    await kit.client.forget("c")
    await kit.client.quit_when_empty()
    kit.client.close()
    await asyncio.wait_for(ended(monitor), 10)
    os.close(monitor)
    assert not kit.paths.monitor_socket.exists()
    kit.client = kit.new_client()


async def test_an_upgrade_after_a_deletion(kit: Kit):
    await kit.run("/bin/true")
    await kit.client.upgrade()
    assert (await kit.run("/bin/sh", "-c", "exit 3")).exit_code == 3
