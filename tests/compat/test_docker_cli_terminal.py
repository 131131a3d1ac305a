"""The docker command line under a pseudo-terminal: run -it, attach, detach keys, resize, exec -it."""

from __future__ import annotations

import pexpect
import pytest

IMAGE = "busybox"
DETACH = "\x10\x11"  # ctrl-p ctrl-q


@pytest.fixture
def spawn(docker):
    """Start docker under a terminal; whatever still runs is ended after the test."""
    started = []

    def start(*arguments, **options):
        terminal = docker.terminal(*arguments, **options)
        started.append(terminal)
        return terminal

    yield start
    for terminal in started:
        terminal.close(force=True)


def finish(terminal):
    """Wait for the end; the exit code."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus


def test_interactive_shell_and_its_exit_code(spawn):
    terminal = spawn("run", "--rm", "-it", IMAGE, "sh")
    terminal.expect("/ # ")
    terminal.sendline("tty; echo $((6*7))")
    terminal.expect("/dev/pts/0")
    terminal.expect("42")
    terminal.sendline("exit 5")
    assert finish(terminal) == 5


def test_line_ends_are_those_of_a_terminal(spawn):
    terminal = spawn("run", "--rm", "-it", IMAGE, "echo", "line")
    terminal.expect("line\r\n")
    assert finish(terminal) == 0


def test_interrupt_reaches_the_process(spawn):
    terminal = spawn("run", "--rm", "-it", IMAGE, "sh", "-c", "trap 'echo caught; exit 4' INT; echo ready; cat")
    terminal.expect("ready")
    terminal.sendline("ping")
    terminal.expect("ping\r\nping")  # the echo and cat's answer: before cat runs, the shell would only note the signal
    terminal.sendintr()
    terminal.expect("caught")
    assert finish(terminal) == 4


def test_size_at_start_and_resize(spawn):
    terminal = spawn("run", "--rm", "-it", IMAGE, "sh", rows=31, columns=97)
    terminal.expect("/ # ")
    terminal.sendline("stty size")
    terminal.expect("31 97")
    terminal.setwinsize(40, 120)
    terminal.sendline("sleep 1; stty size")
    terminal.expect("40 120")
    terminal.sendline("exit")
    assert finish(terminal) == 0


def test_detach_and_attach_again(spawn, docker):
    terminal = spawn("run", "-it", "--name", "shell", IMAGE, "sh")
    terminal.expect("/ # ")
    terminal.send(DETACH)
    assert finish(terminal) == 0
    assert docker.inspect("shell")["State"]["Running"]
    again = spawn("attach", "shell")
    again.sendline("echo back $((1+1))")
    again.expect("back 2")
    again.sendline("exit 6")
    assert finish(again) == 6


def test_own_detach_keys(spawn, docker):
    terminal = spawn("run", "-it", "--name", "shell", "--detach-keys", "ctrl-a,x", IMAGE, "sh")
    terminal.expect("/ # ")
    terminal.send(DETACH)
    terminal.send("\x01x")
    assert finish(terminal) == 0
    assert docker.inspect("shell")["State"]["Running"]


def test_half_of_the_detach_keys_goes_to_the_process(spawn):
    terminal = spawn("run", "--rm", "-it", IMAGE, "sh", "-c", "stty raw -echo; echo ready; head -c 2 | od -An -tx1")
    terminal.expect("ready")
    terminal.send("\x10z")
    terminal.expect("10 7a")
    assert finish(terminal) == 0


def test_detach_leaves_the_other_client_attached(spawn, docker):
    docker.ok("run", "-dit", "--name", "shared", IMAGE, "sh")
    one, two = spawn("attach", "shared"), spawn("attach", "shared")
    for terminal in (one, two):
        terminal.sendline("")
        terminal.expect("/ # ")  # attached
    one.sendline("echo first $((1+1))")
    one.expect("first 2")
    two.expect("first 2")
    one.send(DETACH)
    one.expect("read escape sequence")
    assert finish(one) == 1
    two.sendline("echo second $((1+1))")
    two.expect("second 2")
    two.sendline("exit 3")
    assert finish(two) == 3


def test_exec_with_a_terminal(spawn, docker):
    docker.ok("run", "-d", "--name", "host", IMAGE, "sleep", "100")
    terminal = spawn("exec", "-it", "host", "sh", rows=33, columns=99)
    terminal.expect("/ # ")
    terminal.sendline("stty size; tty")
    terminal.expect("33 99")
    terminal.expect("/dev/pts/")
    terminal.sendline("exit 9")
    assert finish(terminal) == 9
    assert docker.inspect("host")["State"]["Running"]


def test_detach_from_an_exec(spawn, docker):
    docker.ok("run", "-d", "--name", "host", IMAGE, "sleep", "100")
    terminal = spawn("exec", "-it", "host", "sh")
    terminal.expect("/ # ")
    terminal.send(DETACH)
    terminal.expect("read escape sequence")
    terminal.expect(pexpect.EOF)
    assert "sh" in docker.ok("exec", "host", "ps")


def test_a_terminal_for_piped_input_is_refused_by_the_client(docker):
    assert "not a TTY" in docker.fails("run", "--rm", "-it", IMAGE, "true", code=1, stdin=b"x")


def test_start_attached_and_interactive(spawn, docker):
    docker.ok("create", "-it", "--name", "later", IMAGE, "sh", "-c", "read line; echo got $line; exit 8")
    terminal = spawn("start", "-ai", "later")
    terminal.sendline("this")
    terminal.expect("got this")
    assert finish(terminal) == 8
