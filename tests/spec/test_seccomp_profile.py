"""The default filter resolves to what the reference profile resolves to, for every kind of container and host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sampan.engine.containers.spec import seccomp

REFERENCE = Path(__file__).parents[3] / "shared" / "spec" / "seccomp-default.json"
DEFAULT = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP SYS_CHROOT KILL AUDIT_WRITE"
EVERY = (
    "BPF CHOWN DAC_READ_SEARCH PERFMON SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE "
    "SYS_RAWIO SYS_TIME SYS_TTY_CONFIG"
)

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="the reference profile is not on this machine")


def calls(section: dict[str, Any]) -> set[tuple[str, str]]:
    """Each call with everything that decides about it, whatever the order and grouping of rules."""
    return {
        (name, json.dumps({k: v for k, v in rule.items() if k != "names"}, sort_keys=True))
        for rule in section["syscalls"]
        for name in rule["names"]
    }


def capability_sets() -> list[str]:
    return ["", DEFAULT, EVERY, *EVERY.split(), "SYS_ADMIN SYS_TIME", "NET_ADMIN"]


@pytest.mark.parametrize("capabilities", capability_sets())
@pytest.mark.parametrize("arch", ["amd64", "arm64", "386", "arm", "ppc64le", "s390x", "riscv64"])
@pytest.mark.parametrize("kernel", [(4, 4), (6, 1)])
def test_outcome_equals_the_reference(capabilities, arch, kernel):
    held = frozenset(f"CAP_{name}" for name in capabilities.split())
    reference = seccomp.decode_profile(REFERENCE.read_bytes())
    expected = seccomp.resolve(reference, held, arch, kernel)
    got = seccomp.resolve(seccomp.default_profile(), held, arch, kernel)
    assert calls(got) == calls(expected)
    assert {k: v for k, v in got.items() if k != "syscalls"} == {k: v for k, v in expected.items() if k != "syscalls"}
