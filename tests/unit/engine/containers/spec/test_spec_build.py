from __future__ import annotations

from typing import Any

import pytest

from sampan.engine.containers.spec import Device, MountPlan, NamespacePaths, SpecPlan, User, build
from sampan.engine.containers.spec.build import environment
from sampan.engine.containers.spec.mounts import merge_tmpfs_options, plan_mounts, tmpfs_option_list
from sampan.errors import InvalidArgument
from sampan.kernel.cgroups import CgroupLayout, Limits
from sampan.kernel.facts import CAPABILITIES, HostFacts
from sampan.wire.containers import (
    BindOptions,
    ContainerConfig,
    HostConfig,
    Mount,
    MountPoint,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    WeightDevice,
)


def facts(**changes: Any) -> HostFacts:
    base: dict[str, Any] = {
        "kernel_release": "6.1.0-1-amd64",
        "kernel": (6, 1),
        "machine": "x86_64",
        "architecture": "amd64",
        "hostname": "host",
        "cpus": 2,
        "memory": 2**30,
        "cgroups": CgroupLayout(1, {"memory": "/sys/fs/cgroup/memory"}),
        "limits": Limits(),
        "hard_limits": {"nofile": 1000},
    }
    return HostFacts(**(base | changes))


def spec_of(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **plan: Any) -> dict[str, Any]:
    host_facts = plan.pop("facts", facts())
    defaults: dict[str, Any] = {
        "config": ContainerConfig(**({"cmd": ["true"]} | (config or {}))),
        "host_config": HostConfig(**({"shm_size": 1024, "network_mode": "bridge"} | (host or {}))),
        "host": host_facts,
        "user": User(),
        "rootfs": "/bundle/rootfs",
        "cgroup_path": "/sampan/id",
        "hostname": "box",
    }
    return build(SpecPlan(**(defaults | plan)))


def mount_at(spec: dict[str, Any], destination: str) -> dict[str, Any]:
    (found,) = [mount for mount in spec["mounts"] if mount["destination"] == destination]
    return found


def test_process_of_a_plain_container():
    process = spec_of({"entrypoint": ["sh", "-c"], "cmd": ["id"], "working_dir": "/w"})["process"]
    assert process["args"] == ["sh", "-c", "id"]
    assert process["cwd"] == "/w"
    assert process["terminal"] is False
    assert process["oomScoreAdj"] == 0
    assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": [0]}
    assert {"rlimits", "noNewPrivileges", "consoleSize", "apparmorProfile"}.isdisjoint(process)


def test_environment_merges_by_name_and_a_bare_name_unsets():
    config = ContainerConfig(env=["A=1", "HOSTNAME=other", "PATH", "B=", "A=2"], tty=True)
    assert environment(config, "box") == ["HOSTNAME=other", "TERM=xterm", "A=2", "B="]


def test_terminal_size_only_with_a_terminal():
    assert spec_of({"tty": True}, {"console_size": [24, 80]})["process"]["consoleSize"] == {"height": 24, "width": 80}
    assert "consoleSize" not in spec_of({"tty": True}, {"console_size": [0, 0]})["process"]
    assert "consoleSize" not in spec_of({}, {"console_size": [24, 80]})["process"]


def test_init_wraps_the_command():
    spec = spec_of(init="/usr/bin/tini-static")
    assert spec["process"]["args"] == ["/sbin/docker-init", "--", "true"]
    assert mount_at(spec, "/sbin/docker-init")["source"] == "/usr/bin/tini-static"


@pytest.mark.parametrize(
    ("host", "held", "lacking"),
    [
        ({}, {"CAP_CHOWN", "CAP_NET_RAW"}, {"CAP_SYS_ADMIN"}),
        ({"cap_add": ["sys_admin", "CAP_NET_ADMIN"]}, {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_CHOWN"}, set()),
        ({"cap_drop": ["chown"]}, {"CAP_KILL"}, {"CAP_CHOWN"}),
        ({"cap_add": ["ALL"], "cap_drop": ["MKNOD"]}, {"CAP_SYS_ADMIN", "CAP_BPF"}, {"CAP_MKNOD"}),
        ({"cap_drop": ["all"], "cap_add": ["CHOWN"]}, {"CAP_CHOWN"}, {"CAP_KILL", "CAP_FOWNER"}),
        ({"cap_drop": ["ALL"]}, set(), {"CAP_CHOWN", "CAP_KILL"}),
        ({"privileged": True, "cap_drop": ["CHOWN"]}, set(CAPABILITIES), set()),
    ],
)
def test_capabilities(host, held, lacking):
    sets = spec_of(host=host)["process"]["capabilities"]
    assert sets.keys() == {"bounding", "effective", "permitted"}
    for granted in sets.values():
        assert held <= set(granted)
        assert lacking.isdisjoint(granted)
        assert len(granted) == len(set(granted))


def test_only_capabilities_that_the_daemon_has_are_given():
    few = tuple(name for name in CAPABILITIES if name not in ("CAP_SYS_RESOURCE", "CAP_MKNOD"))
    granted = spec_of_facts(capabilities=few)["process"]["capabilities"]["bounding"]
    assert "CAP_MKNOD" not in granted
    assert "CAP_CHOWN" in granted


def test_rlimits_of_the_daemon_stay_below_what_it_has_itself():
    spec = spec_of(default_ulimits=(Ulimit(name="nofile", soft=-1, hard=5000), Ulimit(name="core", soft=0, hard=-1)))
    assert spec["process"]["rlimits"] == [
        {"type": "RLIMIT_CORE", "hard": 2**64 - 1, "soft": 0},
        {"type": "RLIMIT_NOFILE", "hard": 1000, "soft": 1000},
    ]


def test_rlimits_of_the_user_are_taken_as_they_are():
    limits = [Ulimit(name="nofile", soft=10, hard=5000)]
    spec = spec_of(host={"ulimits": limits}, default_ulimits=(Ulimit(name="nofile", soft=1, hard=1),))
    assert spec["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 5000, "soft": 10}]


def test_a_score_that_can_not_be_lowered_is_not_asked_for():
    without = tuple(name for name in CAPABILITIES if name != "CAP_SYS_RESOURCE")
    assert "oomScoreAdj" not in spec_of_facts(oom_score_adj=100, capabilities=without)["process"]
    assert spec_of_facts(oom_score_adj=100)["process"]["oomScoreAdj"] == 0


def spec_of_facts(plan: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The spec on a host that differs from the usual one."""
    return spec_of(**({"facts": facts(**changes)} | (plan or {})))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ({}, ["mount", "network", "uts", "pid", "ipc"]),
        ({"network_mode": "host"}, ["mount", "uts", "pid", "ipc"]),
        ({"uts_mode": "host", "pid_mode": "host", "ipc_mode": "host"}, ["mount", "network"]),
        ({"cgroupns_mode": "private"}, ["mount", "network", "uts", "pid", "ipc", "cgroup"]),
        ({"cgroupns_mode": "host"}, ["mount", "network", "uts", "pid", "ipc"]),
    ],
)
def test_namespaces(host, expected):
    assert [namespace["type"] for namespace in spec_of(host=host)["linux"]["namespaces"]] == expected


def test_joined_namespaces():
    paths = NamespacePaths(network="/n", pid="/p", ipc="/i", shm="/s")
    spec = spec_of(host={"pid_mode": "container:x", "ipc_mode": "container:x"}, namespaces=paths)
    found = {namespace["type"]: namespace.get("path") for namespace in spec["linux"]["namespaces"]}
    assert found == {"mount": None, "network": "/n", "uts": None, "pid": "/p", "ipc": "/i"}
    assert mount_at(spec, "/dev/shm")["options"] == ["rbind", "rprivate"]
    assert mount_at(spec, "/dev/shm")["source"] == "/s"


def test_the_hosts_names_are_left_alone_in_its_uts_namespace():
    spec = spec_of({"domainname": "d"}, {"uts_mode": "host"})
    assert "hostname" not in spec
    assert "kernel.domainname" not in spec["linux"]["sysctl"]


def test_sysctls_defaults_and_overrides():
    asked = {"net.ipv4.ip_unprivileged_port_start": "1024", "kernel.shmmax": "5"}
    sysctls = spec_of({"domainname": "d.example"}, {"sysctls": asked})["linux"]["sysctl"]
    assert sysctls == asked | {"net.ipv4.ping_group_range": "0 2147483647", "kernel.domainname": "d.example"}


@pytest.mark.parametrize("mode", ["host", "container:x"])
def test_a_shared_network_gets_no_default_sysctls(mode):
    assert "sysctl" not in spec_of(host={"network_mode": mode})["linux"]


def test_privileged_hides_nothing_and_allows_everything():
    linux = spec_of(host={"privileged": True})["linux"]
    assert {"seccomp", "maskedPaths", "readonlyPaths"}.isdisjoint(linux)
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_paths_asked_for_win_even_when_privileged():
    linux = spec_of(host={"privileged": True, "masked_paths": ["/a"]})["linux"]
    assert linux["maskedPaths"] == ["/a"]
    assert "maskedPaths" not in spec_of(host={"masked_paths": []})["linux"]


def test_the_processors_thermal_files_are_hidden():
    linux = spec_of_facts(thermal_paths=("/sys/devices/system/cpu/cpu0/thermal_throttle",))["linux"]
    assert "/sys/devices/system/cpu/cpu0/thermal_throttle" in linux["maskedPaths"]


@pytest.mark.parametrize(
    ("options", "present"),
    [([], True), (["seccomp=builtin"], True), (["seccomp=unconfined"], False), (["seccomp:unconfined"], False)],
)
def test_seccomp_by_default_and_not(options, present):
    assert ("seccomp" in spec_of(host={"security_opt": options})["linux"]) is present


def test_seccomp_follows_the_capabilities():
    plain = spec_of()["linux"]["seccomp"]["syscalls"]
    admin = spec_of(host={"cap_add": ["SYS_ADMIN"]})["linux"]["seccomp"]["syscalls"]
    assert not any("mount" in rule["names"] for rule in plain)
    assert any("mount" in rule["names"] for rule in admin)


def test_a_kernel_without_filters_gets_none():
    assert "seccomp" not in spec_of_facts(seccomp=False)["linux"]


def test_security_options_reach_the_process():
    options = ["no-new-privileges", "apparmor=mine", "label=disable"]
    spec = spec_of(host={"security_opt": options}, facts=facts(apparmor=True))
    assert spec["process"]["noNewPrivileges"] is True
    assert spec["process"]["apparmorProfile"] == "mine"
    assert "apparmorProfile" not in spec_of(host={"security_opt": options})["process"]


# --- mounts -----------------------------------------------------------------------------------------------------------


def test_base_mounts_in_order():
    destinations = [mount["destination"] for mount in spec_of()["mounts"]]
    assert destinations == ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"]
    assert mount_at(spec_of(), "/dev/shm")["options"][-1] == "size=1024"


def test_the_three_files_and_user_mounts_parents_first():
    plans = (
        MountPlan(target="/a/b/c", source="/1", propagation="rprivate"),
        MountPlan(target="/a", source="/2", propagation="rprivate"),
    )
    spec = spec_of(mounts=plans, hosts_path="/h", hostname_path="/n", resolv_conf_path="/r")
    asked = [mount["destination"] for mount in spec["mounts"]][7:]
    assert asked == ["/a", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/a/b/c"]


def test_user_mounts_replace_ours():
    plans = (MountPlan(target="/etc/hosts", source="/mine"), MountPlan(target="/dev", source="/dev"))
    spec = spec_of(mounts=plans, hosts_path="/h")
    assert mount_at(spec, "/etc/hosts")["source"] == "/mine"
    assert mount_at(spec, "/dev")["type"] == "bind"
    assert not any(mount["destination"].startswith("/dev/") for mount in spec["mounts"])


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (MountPlan(target="/t", source="/s"), ["rbind"]),
        (MountPlan(target="/t", source="/s", propagation="rprivate"), ["rbind", "rprivate"]),
        (MountPlan(target="/t", source="/s", recursive=False, propagation="slave"), ["bind", "slave"]),
        (MountPlan(target="/t", source="/s", read_only=True), ["rbind", "rro"]),
        (MountPlan(target="/t", source="/s", read_only=True, folder=False), ["rbind", "ro"]),
        (MountPlan(target="/t", source="/s", read_only=True, read_only_recursive=False), ["rbind", "ro"]),
        (MountPlan(target="/t", source="/s", read_only=True, read_only_recursive=None), ["rbind", "rro"]),
    ],
)
def test_bind_options(plan, options):
    assert mount_at(spec_of(mounts=(plan,)), "/t")["options"] == options


def test_recursively_read_only_needs_a_kernel_that_can():
    plan = MountPlan(target="/t", source="/s", read_only=True)
    assert mount_at(spec_of_old(plan), "/t")["options"] == ["rbind", "ro"]
    with pytest.raises(InvalidArgument, match="recursively read-only"):
        spec_of_old(MountPlan(target="/t", source="/s", read_only=True, read_only_recursive=None))


def spec_of_old(plan: MountPlan) -> dict[str, Any]:
    return spec_of_facts(kernel=(5, 10), plan={"mounts": (plan,)})


@pytest.mark.parametrize(("propagation", "root"), [("rshared", "shared"), ("slave", "rslave"), ("rprivate", None)])
def test_the_root_is_as_open_as_its_mounts(propagation, root):
    plan = MountPlan(target="/t", source="/s", propagation=propagation)
    assert spec_of(mounts=(plan,))["linux"].get("rootfsPropagation") == root


def test_a_read_only_root_makes_our_files_read_only_too():
    spec = spec_of(host={"readonly_rootfs": True}, hosts_path="/h", mounts=(MountPlan(target="/t", source="/s"),))
    assert spec["root"]["readonly"] is True
    assert mount_at(spec, "/etc/hosts")["options"] == ["rbind", "ro", "rprivate"]
    assert mount_at(spec, "/t")["options"] == ["rbind"]
    assert "ro" not in mount_at(spec, "/dev")["options"]


def test_privileged_may_write_to_sys_and_cgroups():
    spec = spec_of(host={"privileged": True, "readonly_rootfs": True})
    assert "ro" not in mount_at(spec, "/sys")["options"]
    assert "ro" not in mount_at(spec, "/sys/fs/cgroup")["options"]


@pytest.mark.parametrize(("mode", "source"), [("host", "/dev/shm"), ("shareable", "shm"), ("private", "shm")])
def test_shared_memory_by_ipc_mode(mode, source):
    assert mount_at(spec_of(host={"ipc_mode": mode}), "/dev/shm")["source"] == source


def test_no_ipc_means_no_shared_memory():
    destinations = {mount["destination"] for mount in spec_of(host={"ipc_mode": "none"})["mounts"]}
    assert "/dev/shm" not in destinations
    assert "/dev/mqueue" in destinations


@pytest.mark.parametrize(
    ("options", "merged"),
    [
        (["noexec", "nosuid", "size=1k"], ["noexec", "nosuid", "size=1k"]),
        (["noexec", "nosuid", "exec"], ["nosuid", "exec"]),
        (["size=1", "size=2", "mode=700"], ["size=2", "mode=700"]),
        (["rprivate", "rshared", "ro", "rw"], ["rshared", "rw"]),
    ],
)
def test_later_tmpfs_options_win(options, merged):
    assert merge_tmpfs_options(options) == merged


@pytest.mark.parametrize("option", ["foo", "foo=1", "size"])
def test_a_tmpfs_has_few_options(option):
    with pytest.raises(InvalidArgument, match="invalid tmpfs option"):
        merge_tmpfs_options([option])


@pytest.mark.parametrize(
    ("options", "read_only", "expected"),
    [
        (None, False, ()),
        (None, True, ("ro",)),
        (TmpfsOptions(size_bytes=1 << 30, mode=0o1770), False, ("mode=1770", "size=1g")),
        (TmpfsOptions(size_bytes=3 << 10, options=[["exec"]]), False, ("size=3k", "exec")),
        (TmpfsOptions(size_bytes=1001), False, ("size=1001",)),
    ],
)
def test_tmpfs_options_of_a_mount(options, read_only, expected):
    assert tmpfs_option_list(options, read_only) == expected


def test_plans_join_resolved_points_with_what_was_asked():
    host = HostConfig(
        tmpfs={"/t/": "size=1m,uid=3"},
        mounts=[
            Mount(type="tmpfs", target="/u"),
            Mount(
                type="bind",
                source="/s",
                target="/b/",
                read_only=True,
                bind_options=BindOptions(non_recursive=True, read_only_non_recursive=True),
            ),
        ],
    )
    points = [
        MountPoint(type="bind", source="/s", destination="/b", rw=False, propagation="rprivate"),
        MountPoint(type="volume", source="/v/_data", destination="/v", rw=True),
        MountPoint(type="tmpfs", destination="/u"),
    ]
    assert plan_mounts(host, points, is_folder=lambda path: path != "/v/_data") == (
        MountPlan(
            target="/b",
            source="/s",
            read_only=True,
            recursive=False,
            read_only_recursive=False,
            propagation="rprivate",
        ),
        MountPlan(target="/v", source="/v/_data", folder=False),
        MountPlan(target="/t", tmpfs=True, options=("size=1m", "uid=3")),
        MountPlan(target="/u", tmpfs=True),
    )


# --- resources --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "section", "expected"),
    [
        ({"memory": 100, "memory_swap": 200}, "memory", {"limit": 100, "swap": 200}),
        ({"memory": 100, "memory_swap": -1}, "memory", {"limit": 100, "swap": -1}),
        ({"memory_reservation": 50, "memory_swappiness": 0}, "memory", {"reservation": 50, "swappiness": 0}),
        ({"oom_kill_disable": True, "kernel_memory_tcp": 5}, "memory", {"kernelTCP": 5, "disableOOMKiller": True}),
        ({"nano_cpus": 1_500_000_000}, "cpu", {"quota": 150_000, "period": 100_000}),
        ({"cpu_quota": 5000, "cpu_period": 10_000}, "cpu", {"quota": 5000, "period": 10_000}),
        (
            {"cpu_shares": 5, "cpuset_cpus": "0", "cpuset_mems": "0"},
            "cpu",
            {"shares": 5, "cpus": "0", "mems": "0"},
        ),
        (
            {"cpu_realtime_period": 10, "cpu_realtime_runtime": 5},
            "cpu",
            {"realtimeRuntime": 5, "realtimePeriod": 10},
        ),
        ({"pids_limit": 7}, "pids", {"limit": 7}),
        ({"pids_limit": -1}, "pids", None),
        ({}, "memory", None),
        ({}, "cpu", None),
    ],
)
def test_limits(host, section, expected):
    assert spec_of(host=host)["linux"]["resources"].get(section) == expected


def test_block_devices_by_number():
    host = {
        "blkio_weight": 300,
        "blkio_weight_device": [WeightDevice(path="/dev/a", weight=500)],
        "blkio_device_write_iops": [ThrottleDevice(path="/dev/b", rate=10)],
    }
    section = spec_of(host=host, block_devices={"/dev/a": (8, 0), "/dev/b": (8, 16)})["linux"]["resources"]["blockIO"]
    assert section == {
        "weight": 300,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 500}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 10}],
    }


def test_devices_are_made_and_allowed():
    device = Device(path="/dev/x", kind="c", major=10, minor=200, mode=0o600, gid=5, access="rw")
    linux = spec_of(host={"device_cgroup_rules": ["b 8:* rm", "a *:* w"]}, devices=(device,))["linux"]
    assert linux["devices"] == [
        {"path": "/dev/x", "type": "c", "major": 10, "minor": 200, "fileMode": 0o600, "uid": 0, "gid": 5}
    ]
    rules = linux["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert rules[-3:] == [
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "rm"},
        {"allow": True, "type": "a", "access": "w"},
    ]
