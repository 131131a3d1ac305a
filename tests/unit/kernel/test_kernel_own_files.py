"""Telling the kernel's own file systems from those that hold data, and leaving them out of archives."""

from __future__ import annotations

import os

import pytest

from sampan.images.pack import pack, pack_one
from sampan.kernel import syscalls

FOLDER = os.O_RDONLY | os.O_DIRECTORY


@pytest.mark.parametrize(("path", "own"), [("/proc", True), ("/proc/self/status", True), ("/sys", True), ("/", False)])
def test_whose_file_system_it_is(path, own):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert syscalls.is_kernels_own(descriptor) is own
    finally:
        os.close(descriptor)


def test_what_the_kernel_says_of_itself_is_in_no_archive():
    root, proc = os.open("/", FOLDER), os.open("/proc", FOLDER)
    try:
        assert b"".join(pack(proc, overlay=False)) == bytes(1024)
        whole = b"".join(pack_one(root, "proc", "proc"))
    finally:
        os.close(root)
        os.close(proc)
    assert whole.startswith(b"proc/\0") and b"proc/version" not in whole
