"""Each field of the create request: where it is done, or why it is refused. A test holds this against the API's spec.

A refused field that has its zero value is accepted (clients send every field); any other value is a 501 that names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.errors import NotImplementedYet
from sampan.wire.containers import CreateRequest, HostConfig

__all__ = ["ACCEPTED", "REFUSED", "refuse_unknown"]

REFUSED: Mapping[str, str] = {}
"""Field -> what it would be."""

ACCEPTED: Mapping[str, str] = {
    "Config.ArgsEscaped": "means something on Windows only",
    "Config.AttachStderr": "kept for inspect",
    "Config.AttachStdin": "decides when stdin closes",
    "Config.AttachStdout": "kept for inspect",
    "Config.Cmd": "process",
    "Config.Domainname": "sysctl kernel.domainname",
    "Config.Entrypoint": "process",
    "Config.Env": "process",
    "Config.ExposedPorts": "networks",
    "Config.Healthcheck": "health checks",
    "Config.Hostname": "hostname",
    "Config.Image": "images",
    "Config.Labels": "kept for inspect and filters",
    "Config.MacAddress": "networks",
    "Config.NetworkDisabled": "as network mode none",
    "Config.OnBuild": "kept for commit",
    "Config.OpenStdin": "monitor",
    "Config.Shell": "health checks",
    "Config.StdinOnce": "monitor",
    "Config.StopSignal": "stop",
    "Config.StopTimeout": "stop",
    "Config.Tty": "process",
    "Config.User": "users",
    "Config.Volumes": "volumes",
    "Config.WorkingDir": "process",
    "HostConfig.Annotations": "annotations",
    "HostConfig.AutoRemove": "lifecycle",
    "HostConfig.Binds": "mounts",
    "HostConfig.BlkioDeviceReadBps": "resources",
    "HostConfig.BlkioDeviceReadIOps": "resources",
    "HostConfig.BlkioDeviceWriteBps": "resources",
    "HostConfig.BlkioDeviceWriteIOps": "resources",
    "HostConfig.BlkioWeight": "resources",
    "HostConfig.BlkioWeightDevice": "resources",
    "HostConfig.CapAdd": "capabilities",
    "HostConfig.CapDrop": "capabilities",
    "HostConfig.Cgroup": "Docker ignores it as well",
    "HostConfig.CgroupParent": "cgroup path",
    "HostConfig.CgroupnsMode": "namespaces",
    "HostConfig.ConsoleSize": "process",
    "HostConfig.ContainerIDFile": "the client writes it",
    "HostConfig.CpuCount": "means something on Windows only",
    "HostConfig.CpuPercent": "means something on Windows only: dropped with a warning",
    "HostConfig.CpuPeriod": "resources",
    "HostConfig.CpuQuota": "resources",
    "HostConfig.CpuRealtimePeriod": "resources",
    "HostConfig.CpuRealtimeRuntime": "resources",
    "HostConfig.CpuShares": "resources",
    "HostConfig.CpusetCpus": "resources",
    "HostConfig.CpusetMems": "resources",
    "HostConfig.DeviceCgroupRules": "device rules",
    "HostConfig.DeviceRequests": "no driver serves them: refused at start with Docker's words",
    "HostConfig.Devices": "devices",
    "HostConfig.Dns": "resolv.conf",
    "HostConfig.DnsOptions": "resolv.conf",
    "HostConfig.DnsSearch": "resolv.conf",
    "HostConfig.ExtraHosts": "hosts",
    "HostConfig.GroupAdd": "users",
    "HostConfig.IOMaximumBandwidth": "Windows only: refused with Docker's words",
    "HostConfig.IOMaximumIOps": "Windows only: refused with Docker's words",
    "HostConfig.Init": "process and mounts",
    "HostConfig.IpcMode": "namespaces",
    "HostConfig.Links": "links between containers",
    "HostConfig.Isolation": "only default: refused with Docker's words",
    "HostConfig.KernelMemory": "Docker ignores it as well",
    "HostConfig.KernelMemoryTCP": "resources",
    "HostConfig.LogConfig": "logs",
    "HostConfig.MaskedPaths": "paths",
    "HostConfig.Memory": "resources",
    "HostConfig.MemoryReservation": "resources",
    "HostConfig.MemorySwap": "resources",
    "HostConfig.MemorySwappiness": "resources",
    "HostConfig.Mounts": "mounts",
    "HostConfig.NanoCpus": "resources",
    "HostConfig.NetworkMode": "networks",
    "HostConfig.OomKillDisable": "resources",
    "HostConfig.OomScoreAdj": "process",
    "HostConfig.PidMode": "namespaces",
    "HostConfig.PidsLimit": "resources",
    "HostConfig.PortBindings": "networks",
    "HostConfig.Privileged": "capabilities, devices, paths, seccomp",
    "HostConfig.PublishAllPorts": "networks",
    "HostConfig.ReadonlyPaths": "paths",
    "HostConfig.ReadonlyRootfs": "root and mounts",
    "HostConfig.RestartPolicy": "lifecycle",
    "HostConfig.Runtime": "lifecycle",
    "HostConfig.SecurityOpt": "security",
    "HostConfig.ShmSize": "mounts",
    "HostConfig.StorageOpt": "refused with Docker's words where it can't work",
    "HostConfig.Sysctls": "sysctls",
    "HostConfig.Tmpfs": "mounts",
    "HostConfig.UTSMode": "namespaces",
    "HostConfig.Ulimits": "process",
    "HostConfig.UsernsMode": "the daemon remaps no ids, so that host and the default are the same",
    "HostConfig.VolumeDriver": "volumes",
    "HostConfig.VolumesFrom": "mounts",
}
"""Field -> the part of the engine that does it, or why it means nothing here."""


def refuse_unknown(request: CreateRequest, host: HostConfig) -> None:
    """Raise NotImplementedYet for a refused field with a value, and for values of done fields that aren't there yet."""
    documents = {"Config": request, "HostConfig": host}
    for field, meaning in REFUSED.items():
        kind, _, key = field.partition(".")
        document = documents[kind]
        attributes = dict(zip(type(document).__struct_encode_fields__, type(document).__struct_fields__, strict=True))
        if getattr(document, attributes[key]):
            raise NotImplementedYet(f"{field} ({meaning}) is not implemented yet")
    for mount in host.mounts:
        if mount.type == "image":
            raise NotImplementedYet("HostConfig.Mounts of type image is not implemented yet")
