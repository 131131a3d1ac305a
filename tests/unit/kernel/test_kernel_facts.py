from __future__ import annotations

import os
import resource

import pytest

from sampan.kernel.facts import CAPABILITIES, RLIMITS, gather, kernel_version


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-13-amd64", (6, 1)), ("5.10.0", (5, 10)), ("6.18.44-x-v5", (6, 18)), ("4.19-rc1", (4, 19))],
)
def test_kernel_version(release, version):
    assert kernel_version(release) == version


def test_this_machine():
    found = gather()
    assert found.kernel_release == os.uname().release
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.memory > 2**20
    assert set(found.capabilities) <= set(CAPABILITIES)
    assert found.hard_limits["nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert found.hard_limits.keys() == RLIMITS.keys()
    assert found.recursive_read_only == (found.kernel >= (5, 12))


def test_names_follow_the_kernels_numbers():
    assert CAPABILITIES.index("CAP_SYS_ADMIN") == 21
    assert CAPABILITIES.index("CAP_CHECKPOINT_RESTORE") == 40
    assert RLIMITS["nofile"] == resource.RLIMIT_NOFILE
    assert RLIMITS["memlock"] == resource.RLIMIT_MEMLOCK
    assert RLIMITS["rtprio"] == resource.RLIMIT_RTPRIO
