from __future__ import annotations

import json

import pytest

from sampan.engine.containers.spec import seccomp
from sampan.errors import InvalidArgument

PLAIN = frozenset({"CAP_CHOWN", "CAP_SYS_CHROOT"})
NAMED = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO"}]}'


def allowed(section: dict) -> set[str]:
    return {name for rule in section["syscalls"] if rule["action"] == seccomp.ALLOW for name in rule["names"]}


def resolve(*capabilities: str, arch: str = "amd64", kernel: tuple[int, int] = (6, 1)) -> dict:
    return seccomp.resolve(seccomp.default_profile(), frozenset(capabilities), arch, kernel)


def test_what_no_rule_allows_is_not_permitted():
    section = resolve()
    assert (section["defaultAction"], section["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert {"add_key", "keyctl", "mount", "userfaultfd", "kexec_load"}.isdisjoint(allowed(section))


def test_capabilities_open_calls():
    assert "mount" in allowed(resolve("CAP_SYS_ADMIN"))
    assert "mount" not in allowed(resolve("CAP_SYS_TIME"))
    assert "clock_settime" in allowed(resolve("CAP_SYS_TIME"))


def test_clone_is_filtered_by_its_flags_without_sys_admin():
    rules = [rule for rule in resolve()["syscalls"] if rule["names"] == ["clone"]]
    assert rules == [
        {
            "names": ["clone"],
            "action": seccomp.ALLOW,
            "args": [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}],
        }
    ]
    assert {"names": ["clone3"], "action": seccomp.ERRNO, "errnoRet": 38} in resolve()["syscalls"]


def test_the_flags_are_another_argument_on_s390():
    (rule,) = [rule for rule in resolve(arch="s390x")["syscalls"] if rule["names"] == ["clone"]]
    assert rule["args"][0]["index"] == 1


def test_ptrace_needs_a_kernel_that_filters_after_it():
    assert "ptrace" in allowed(resolve(kernel=(4, 8)))
    assert "ptrace" not in allowed(resolve(kernel=(4, 7)))
    assert "ptrace" in allowed(resolve("CAP_SYS_PTRACE", kernel=(4, 7)))


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        ("arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        ("riscv64", ["SCMP_ARCH_RISCV64"]),
    ],
)
def test_architectures_whose_binaries_run(arch, expected):
    assert resolve(arch=arch)["architectures"] == expected


def test_a_profile_of_the_user_in_both_spellings():
    section = seccomp.resolve(seccomp.decode_profile(NAMED), PLAIN, "amd64", (6, 1))
    assert section == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}],
    }


def test_exclusion_by_capability_and_kernel():
    def section(**excludes: object) -> list:
        rule = {"names": ["a"], "action": "SCMP_ACT_ALLOW", "excludes": excludes}
        profile = seccomp.decode_profile(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}))
        return seccomp.resolve(profile, PLAIN, "amd64", (5, 0))["syscalls"]

    assert section(caps=["CAP_CHOWN"]) == []
    assert section(minKernel="5.0") == []
    assert len(section(minKernel="5.1", caps=["CAP_SYS_ADMIN"], arches=["arm64"])) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "decoding seccomp profile failed"),
        ("{}", "decoding seccomp profile failed"),
        ('{"defaultAction": 5}', "decoding seccomp profile failed"),
        (
            '{"defaultAction": "x", "architectures": ["a"], "archMap": [{"architecture": "b"}]}',
            "both 'architectures' and 'archMap'",
        ),
        (
            '{"defaultAction": "x", "syscalls": [{"name": "a", "names": ["b"], "action": "y"}]}',
            "both 'name' and 'names'",
        ),
    ],
)
def test_a_bad_profile_is_refused(document, message):
    with pytest.raises(InvalidArgument, match=message):
        seccomp.decode_profile(document)


@pytest.mark.parametrize(
    "text", ["allow:\n a", "default errno 1\nperhaps:\n a", "default errno 1\nallow when moon:\n a"]
)
def test_malformed_rules_are_an_error(text):
    with pytest.raises(ValueError, match=r"."):
        seccomp.parse_rules(text)
