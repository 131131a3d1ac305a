"""Whether a process runs its program yet: real processes stand in for the runtime and for what it starts."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sampan.engine.containers import program

SLEEP = shutil.which("sleep")


@pytest.fixture
def sleeper():
    process = subprocess.Popen([SLEEP, "1000"])
    while os.path.realpath(f"/proc/{process.pid}/exe") != os.path.realpath(SLEEP):
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def test_the_runtimes_own_file_is_not_the_program(sleeper):
    assert program.is_runtime(sleeper.pid, SLEEP)
    assert not program.is_runtime(sleeper.pid, "/bin/true")


def test_a_copy_of_the_runtime_in_memory_is_not_the_program(tmp_path):
    """crun and runc execute a sealed copy of themselves."""
    memory = os.memfd_create("crun_cloned:/proc/self/exe")
    with Path(SLEEP).open("rb") as source:
        os.sendfile(memory, source.fileno(), 0, os.fstat(source.fileno()).st_size)
    process = subprocess.Popen([f"/proc/self/fd/{memory}", "1000"], pass_fds=[memory])
    try:
        assert program.is_runtime(process.pid, "/usr/bin/crun")
    finally:
        process.kill()
        process.wait()
        os.close(memory)


def test_a_process_that_is_gone_keeps_nobody_waiting():
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    assert not program.is_runtime(process.pid, "/usr/bin/crun")


@pytest.fixture
def preparing():
    """A process that executes `sleep` once it is told to."""
    script = f"import os,sys; sys.stdin.read(1); os.execv({SLEEP!r}, ['sleep', '1000'])"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


async def test_one_waits_until_the_program_is_there(preparing):
    waiting = asyncio.ensure_future(program.begun(preparing.pid, time.time_ns(), os.path.realpath(sys.executable)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    preparing.stdin.write(b"x")
    preparing.stdin.close()
    await waiting


async def test_an_old_start_is_not_looked_at(sleeper):
    await asyncio.wait_for(program.begun(sleeper.pid, 1, SLEEP), 30)
