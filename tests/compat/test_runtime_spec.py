"""Our runtime spec beside the one that a genuine dockerd makes of the same request, field by field.

What differs on purpose is normalized away below, each with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import image
from rig.engines import Engine
from sampan.engine.containers.merge import Defaults, complete_host, config_of, merge_image
from sampan.engine.containers.mounts import wanted_mounts
from sampan.engine.containers.spec import SpecPlan, adjust, build, resolve_user
from sampan.engine.containers.spec.devices import block_numbers, resolve_devices
from sampan.engine.containers.spec.mounts import plan_mounts
from sampan.kernel.facts import gather
from sampan.oci.documents import RunConfig
from sampan.wire import codec
from sampan.wire.containers import CreateRequest, HostConfig

pytestmark = pytest.mark.root

BASE: dict[str, Any] = {"Image": image.NAME, "Cmd": ["sleep", "1000"]}
DEFAULTS = Defaults(
    log_driver="json-file", log_opts={}, runtime="runc", ipc_mode="private", cgroupns_mode="host", shm_size=64 << 20
)
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "terminal": {"Tty": True, "OpenStdin": True, "Env": ["A=1", "TERM=dumb"], "HostConfig": {"ConsoleSize": [24, 80]}},
    "user and groups": {"User": "33", "HostConfig": {"GroupAdd": ["777"]}},
    "workdir and names": {"WorkingDir": "/a/b", "Hostname": "h1", "Domainname": "d.example"},
    "entrypoint": {"Entrypoint": ["sleep"], "Cmd": ["1000"]},
    "capabilities": {"HostConfig": {"CapAdd": ["SYS_ADMIN", "net_admin"], "CapDrop": ["CHOWN"]}},
    "all capabilities": {"HostConfig": {"CapAdd": ["ALL"], "CapDrop": ["MKNOD"]}},
    "no capabilities": {"HostConfig": {"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}},
    "privileged": {"HostConfig": {"Privileged": True}},
    "privileged, some hidden": {"HostConfig": {"Privileged": True, "MaskedPaths": ["/proc/keys"]}},
    "read-only root": {"HostConfig": {"ReadonlyRootfs": True, "Tmpfs": {"/run": "size=1m,exec", "/x": ""}}},
    "shared memory": {"HostConfig": {"ShmSize": 1 << 20}},
    "ipc of the host": {"HostConfig": {"IpcMode": "host"}},
    "no ipc": {"HostConfig": {"IpcMode": "none"}},
    "host namespaces": {"HostConfig": {"PidMode": "host", "UTSMode": "host", "CgroupnsMode": "private"}},
    "network of the host": {"Hostname": "h1", "HostConfig": {"NetworkMode": "host"}},
    "limits": {
        "HostConfig": {
            "Memory": 100 << 20,
            "MemorySwap": 200 << 20,
            "MemoryReservation": 50 << 20,
            "MemorySwappiness": 30,
            "NanoCpus": 1_500_000_000,
            "CpuShares": 512,
            "CpusetCpus": "0",
            "CpusetMems": "0",
            "PidsLimit": 50,
            "OomScoreAdj": 300,
        }
    },
    "cpu quota": {"HostConfig": {"CpuQuota": 50_000, "CpuPeriod": 100_000, "OomKillDisable": True, "Memory": 50 << 20}},
    "devices": {
        "HostConfig": {
            "Devices": [
                {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/xx", "CgroupPermissions": "rw"},
                {"PathOnHost": "/dev/net", "PathInContainer": "/dev/net", "CgroupPermissions": "rwm"},
            ],
            "DeviceCgroupRules": ["c 42:* rmw", "b 8:1 r"],
        }
    },
    "sysctls": {"HostConfig": {"Sysctls": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "100000"}}},
    "security options": {"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined", "apparmor=x"]}},
    "own filter": {
        "HostConfig": {
            "SecurityOpt": [
                "seccomp="
                + json.dumps(
                    {
                        "defaultAction": "SCMP_ACT_ALLOW",
                        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
                        "syscalls": [
                            {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
                            {"name": "chown", "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}},
                        ],
                    }
                )
            ]
        }
    },
    "ulimits": {
        "HostConfig": {
            "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}, {"Name": "core", "Soft": 0, "Hard": -1}]
        }
    },
    "binds": {
        "HostConfig": {
            "Binds": ["/usr/share:/var/lib/share", "/usr:/var/lib:rw", "/usr:/b:ro", "/etc/hostname:/etc/hostname:ro"]
        }
    },
    "mounts": {
        "HostConfig": {
            "Mounts": [
                {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 3 << 20, "Mode": 0o1770}},
                {"Type": "bind", "Source": "/usr", "Target": "/r", "ReadOnly": True},
                {
                    "Type": "bind",
                    "Source": "/usr",
                    "Target": "/n",
                    "ReadOnly": True,
                    "BindOptions": {"ReadOnlyNonRecursive": True, "NonRecursive": True},
                },
            ]
        }
    },
    "annotations": {"HostConfig": {"Annotations": {"a.b": "c"}}},
    "open system paths": {"HostConfig": {"MaskedPaths": [], "ReadonlyPaths": []}},
}


class Reference:
    """A genuine engine with the busybox image, asked for the specs that it makes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = engine.client()

    def image_config(self) -> RunConfig:
        config = self.client.get(f"/images/{image.NAME}/json").json()["Config"]
        return RunConfig(env=config.get("Env"), cmd=config.get("Cmd"), working_dir=config.get("WorkingDir", ""))

    def spec(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id of a container that was made and started so, and its spec; the container is gone again."""
        created = self.client.post("/containers/create", request)
        assert created.status == 201, created.message
        identity: str = created.json()["Id"]
        try:
            started = self.client.post(f"/containers/{identity}/start")
            assert started.status == 204, started.message
            return identity, json.loads(self._bundle(identity).joinpath("config.json").read_bytes())
        finally:
            self.client.delete(f"/containers/{identity}?force=1&v=1")

    def _bundle(self, identity: str) -> Path:
        state = "run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby"
        return Path(f"/proc/{self.engine.pid}/root") / state / identity


@pytest.fixture(scope="module")
def reference(genuine: Engine) -> Iterator[Reference]:
    with genuine.client() as client:
        answer = client.request(
            "POST", "/images/load?quiet=1", image.busybox_archive(), {"Content-Type": "application/x-tar"}
        )
        assert answer.status == 200, answer.message
    found = Reference(genuine)
    yield found
    found.client.close()


def our_spec(request: dict[str, Any], image_config: RunConfig, identity: str) -> dict[str, Any]:
    """What the engine does between a request and the runtime, with the same names and paths as the reference."""
    wish = codec.decode(json.dumps(request).encode(), CreateRequest)
    facts = gather()
    host = complete_host(adjust(wish.host_config or HostConfig(), facts), DEFAULTS)
    config = merge_image(config_of(wish), image_config)
    points = [wanted.point() for wanted in wanted_mounts(config, host, [])]
    return build(
        SpecPlan(
            config=config,
            host_config=host,
            host=facts,
            user=resolve_user(config.user, image.PASSWD, image.GROUP, host.group_add or ()),
            rootfs="/rootfs",
            cgroup_path=f"/docker/{identity}",
            hostname=config.hostname or identity[:12],
            hostname_path="/hostname",
            hosts_path="/hosts",
            resolv_conf_path="/resolv.conf",
            mounts=plan_mounts(host, points),
            devices=resolve_devices(host.devices or (), privileged=host.privileged),
            block_devices=block_numbers(host),
        )
    )


def normal(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec without what differs on purpose, and without what means nothing: order of sets, false, empty."""
    spec = json.loads(json.dumps(spec))
    spec.pop("ociVersion")  # we say the oldest that has what we use: Debian's crun knows no newer
    spec["root"].pop("path")
    for kind, names in spec["process"]["capabilities"].items():
        spec["process"]["capabilities"][kind] = sorted(names)
    spec["mounts"] = sorted(map(normal_mount, spec["mounts"]), key=lambda mount: str(mount["destination"]))
    spec["process"].get("rlimits", []).sort(key=lambda limit: limit["type"])
    linux = spec["linux"]
    linux["resources"]["devices"] = allowed_devices(linux["resources"]["devices"])
    linux["devices"] = sorted(linux.get("devices", []), key=lambda device: str(device["path"]))
    if "seccomp" in linux:
        linux["seccomp"] = normal_filter(linux["seccomp"])
    found = without_empty(spec)
    assert isinstance(found, dict)
    return found


def normal_mount(mount: dict[str, Any]) -> dict[str, Any]:
    """The three files lie where each engine keeps them; we say `ro`, for Debian's crun can't do `rro` to a file.

    Of a single mount we say `private`, for with `rprivate` that crun binds what is below as well.
    """
    source, options = mount["source"], mount["options"]
    if "bind" in options:
        options = ["private" if option == "rprivate" else option for option in options]
    if mount["destination"] in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf") and "/" in source[1:]:
        source = source if source.startswith("/etc") else "/" + Path(source).name
        options = ["ro" if option == "rro" else option for option in options]
    return mount | {"source": source, "options": sorted(options)}


def allowed_devices(rules: list[dict[str, Any]]) -> list[str]:
    """What is allowed beyond the usual, which both runtimes add by themselves; dockerd lists it twice, with denials."""
    allowed = {
        f"{rule.get('type', 'a')} {rule.get('major', -1)}:{rule.get('minor', -1)} {''.join(sorted(rule['access']))}"
        for rule in rules
        if rule["allow"]
    }
    usual = ["c -1:-1 m", "b -1:-1 m", "c 136:-1 mrw"]
    usual += [f"c {number} mrw" for number in ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2")]
    return sorted(allowed.difference(usual))


def normal_filter(section: dict[str, Any]) -> dict[str, Any]:
    """Calls with all that decides about them. `socket` is left out: our profile is of a later patch release."""
    calls = sorted(
        (name, json.dumps({key: value for key, value in rule.items() if key != "names" and value}, sort_keys=True))
        for rule in section["syscalls"]
        for name in rule["names"]
        if name != "socket"
    )
    return section | {"syscalls": calls}


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, False, "", [], {})}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES)
def test_spec_equals_the_genuine_one(reference, case):
    host = {"NetworkMode": "none"} | CASES[case].get("HostConfig", {})
    request = BASE | CASES[case] | {"HostConfig": host}
    identity, theirs = reference.spec(request)
    ours = our_spec(request, reference.image_config(), identity)
    assert normal(ours) == normal(theirs)
    parents_first([mount["destination"] for mount in ours["mounts"]])


def parents_first(destinations: list[str]) -> None:
    for index, destination in enumerate(destinations):
        later = destinations[index + 1 :]
        assert not any(destination.startswith(other + "/") for other in later), destinations
