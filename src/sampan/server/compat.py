"""What older versions of the API say differently, as seen of a genuine dockerd 28.5: small functions by operation.

    request:   a decoded document, changed in place to mean what it meant in the client's version
    response:  plain data (dicts and lists), changed to what the client's version shows

Each entry applies to clients older than its version; newer entries first, so that a client of 1.40 gets them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from sampan.errors import InvalidArgument
from sampan.server.versions import Version
from sampan.wire.containers import CreateRequest, Mount, UpdateRequest
from sampan.wire.exec import ExecCreateRequest, ExecStartRequest

T = TypeVar("T")
Change = Callable[[Any], None]


def request(operation: str, version: Version, document: T) -> T:
    """`document` as a client of `version` meant it. Raises InvalidArgument for what that version could not ask."""
    for below, change in _REQUESTS.get(operation, ()):
        if version < below:
            change(document)
    for since, change in _REQUESTS_SINCE.get(operation, ()):
        if version >= since:
            change(document)
    return document


def response(operation: str, version: Version, document: object) -> object:
    """`document` as a client of `version` expects it: the document itself, or plain data in its place."""
    changes = [change for below, change in _RESPONSES.get(operation, ()) if version < below]
    if not changes:
        return document
    plain = msgspec.to_builtins(document)
    for change in changes:
        change(plain)
    return plain


# requests


def _mounts(create: CreateRequest) -> list[Mount]:
    return create.host_config.mounts if create.host_config else []


def _before_1_48(create: CreateRequest) -> None:
    if any(mount.type == "image" for mount in _mounts(create)):
        raise InvalidArgument('Mount type "Image" needs API v1.48 or newer')


def _before_1_45(create: CreateRequest) -> None:
    if any(mount.volume_options and mount.volume_options.subpath for mount in _mounts(create)):
        raise InvalidArgument("VolumeOptions.Subpath needs API v1.45 or newer")


def _before_1_44(create: CreateRequest) -> None:
    if create.healthcheck:
        create.healthcheck.start_interval = 0
    endpoints = create.networking_config.endpoints_config if create.networking_config else None
    if len(endpoints or ()) > 1:
        names = ", ".join(sorted(endpoints or ()))
        raise InvalidArgument(f"Container cannot be created with multiple network endpoints: {names}")
    for mount in _mounts(create):
        if mount.bind_options and mount.bind_options.read_only_force_recursive:
            raise InvalidArgument("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        if mount.bind_options:
            mount.bind_options.read_only_non_recursive = mount.read_only


def _before_1_43(create: CreateRequest) -> None:
    if create.host_config:
        create.host_config.annotations = {}


def _before_1_42(create: CreateRequest) -> None:
    if create.host_config:
        create.host_config.console_size = [0, 0]
    for mount in _mounts(create):
        if mount.bind_options:
            mount.bind_options.create_mountpoint = False
        if mount.type != "tmpfs":
            mount.tmpfs_options = None
        else:
            mount.volume_options = None


def _before_1_40(create: CreateRequest) -> None:
    if create.host_config:
        create.host_config.kernel_memory_tcp = 0
        create.host_config.ipc_mode = create.host_config.ipc_mode or "shareable"
    for mount in _mounts(create):
        if mount.bind_options:
            mount.bind_options.non_recursive = False


def _since_1_42(create: CreateRequest) -> None:
    if create.host_config:
        create.host_config.kernel_memory = 0


def _update_since_1_42(update: UpdateRequest) -> None:
    update.kernel_memory = 0


def _update_before_1_40(update: UpdateRequest) -> None:
    update.pids_limit = None


def _without_console_size(document: ExecCreateRequest | ExecStartRequest) -> None:
    document.console_size = None


_REQUESTS: dict[str, list[tuple[Version, Change]]] = {
    "ContainerCreate": [
        ((1, 48), _before_1_48),
        ((1, 45), _before_1_45),
        ((1, 44), _before_1_44),
        ((1, 43), _before_1_43),
        ((1, 42), _before_1_42),
        ((1, 40), _before_1_40),
    ],
    "ContainerUpdate": [((1, 40), _update_before_1_40)],
    "ContainerExec": [((1, 42), _without_console_size)],
    "ExecStart": [((1, 42), _without_console_size)],
}
_REQUESTS_SINCE: dict[str, list[tuple[Version, Change]]] = {
    "ContainerCreate": [((1, 42), _since_1_42)],
    "ContainerUpdate": [((1, 42), _update_since_1_42)],
}


# responses


_WITHOUT_ALIASES = ("bridge", "host", "none")


def _short_id_alias(container: dict[str, Any]) -> None:
    for name, endpoint in (container["NetworkSettings"]["Networks"] or {}).items():
        if name in _WITHOUT_ALIASES:
            continue
        endpoint["Aliases"] = [*(endpoint["Aliases"] or ()), container["Id"][:12]]


def _without_manifest(container: dict[str, Any]) -> None:
    container.pop("ImageManifestDescriptor", None)


def _without_manifests(containers: list[dict[str, Any]]) -> None:
    for container in containers:
        _without_manifest(container)


def _without_annotations(containers: list[dict[str, Any]]) -> None:
    for container in containers:
        container["HostConfig"].pop("Annotations", None)


def _virtual_sizes(images: list[dict[str, Any]]) -> None:
    for image in images:
        _virtual_size(image)


def _uncounted(images: list[dict[str, Any]]) -> None:
    for image in images:
        image["Containers"] = -1


def _unnamed(images: list[dict[str, Any]]) -> None:
    for image in images:
        if not image["RepoTags"] and not image["RepoDigests"]:
            image["RepoTags"], image["RepoDigests"] = ["<none>:<none>"], ["<none>@<none>"]
        elif not image["RepoDigests"]:
            image["RepoDigests"] = None


def _unshared(images: list[dict[str, Any]]) -> None:
    for image in images:
        image["SharedSize"] = -1


_CONTAINER_FIELDS: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}
_IMAGE_FIELDS: dict[str, Any] = {
    "User": "",
    "Env": None,
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}


def _whole_config(image: dict[str, Any]) -> None:
    if image.get("Config") is not None:
        image["Config"] = _CONTAINER_FIELDS | image["Config"]


def _container_config(image: dict[str, Any]) -> None:
    image.setdefault("ContainerConfig", _CONTAINER_FIELDS | _IMAGE_FIELDS)


def _virtual_size(image: dict[str, Any]) -> None:
    if image["Size"]:
        image["VirtualSize"] = image["Size"]


def _df_virtual_sizes(usage: dict[str, Any]) -> None:
    _virtual_sizes(usage["Images"] or [])


def _info_bridge(info: dict[str, Any]) -> None:
    info["BridgeNfIptables"] = info["BridgeNfIp6tables"] = False


def _info_1_48(info: dict[str, Any]) -> None:
    info.pop("FirewallBackend", None)
    for name in ("ContainerdCommit", "RuncCommit", "InitCommit"):
        if info[name]["ID"]:
            info[name]["Expected"] = info[name]["ID"]


def _info_registry(info: dict[str, Any]) -> None:
    if info["RegistryConfig"] is not None:
        info["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] = None
        info["RegistryConfig"]["AllowNondistributableArtifactsHostnames"] = None


def _info_containerd(info: dict[str, Any]) -> None:
    info.pop("Containerd", None)


def _info_runtimes(info: dict[str, Any]) -> None:
    for runtime in (info["Runtimes"] or {}).values():
        runtime.pop("status", None)


def _info_kernel_memory(info: dict[str, Any]) -> None:
    info.setdefault("KernelMemory", info["MemoryLimit"])


def _info_security(info: dict[str, Any]) -> None:
    info["SecurityOptions"] = [
        option.removeprefix("name=").partition(",")[0] for option in info["SecurityOptions"] or ()
    ]


_RESPONSES: dict[str, list[tuple[Version, Change]]] = {
    "ContainerInspect": [((1, 48), _without_manifest), ((1, 45), _short_id_alias)],
    "ContainerList": [((1, 48), _without_manifests), ((1, 46), _without_annotations)],
    "ImageList": [((1, 51), _uncounted), ((1, 44), _virtual_sizes), ((1, 43), _unnamed), ((1, 42), _unshared)],
    "ImageInspect": [((1, 50), _whole_config), ((1, 45), _container_config), ((1, 44), _virtual_size)],
    "SystemDataUsage": [((1, 44), _df_virtual_sizes)],
    "SystemInfo": [
        ((1, 50), _info_bridge),
        ((1, 49), _info_1_48),
        ((1, 47), _info_registry),
        ((1, 46), _info_containerd),
        ((1, 44), _info_runtimes),
        ((1, 42), _info_kernel_memory),
        ((1, 25), _info_security),
    ],
}
