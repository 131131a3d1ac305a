"""A mount of another mount namespace, attached in one's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.root

# Runs in a process of its own: it must have one thread, and its mounts must not be seen outside.
SCRIPT = """
import os, sys
from sampan.kernel import mounts, syscalls
syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
own = os.stat("/proc/self/ns/mnt").st_ino
mounts.attach_from(int(sys.argv[1]), sys.argv[2], sys.argv[3])
assert os.stat("/proc/self/ns/mnt").st_ino == own
print(open(sys.argv[3] + "/file").read(), end="")
open(sys.argv[3] + "/back", "w").write("seen")
"""


@pytest.fixture
def other(tmp_path):
    """A process with a tmpfs of its own at tmp_path/shared."""
    shared = tmp_path / "shared"
    shared.mkdir()
    script = (
        f"mount -t tmpfs none {shared} && echo there > {shared}/file && echo ready && read word && cat {shared}/back"
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    yield process, shared
    process.kill()
    process.communicate()


def test_both_see_the_same_files(other, tmp_path):
    process, shared = other
    target = tmp_path / "target"
    target.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(process.pid), str(shared), str(target)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "there\n"
    assert process.communicate("go\n", timeout=60)[0] == "seen"
    assert list(target.iterdir()) == []


def test_a_process_that_is_gone(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(2**22 + 1), "/dev/shm", str(tmp_path)]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert "FileNotFoundError" in failed.stderr
