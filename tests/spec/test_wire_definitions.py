"""Every wire document against its definition in the Engine API's OpenAPI file: the same keys, of the same kinds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import inspect

from sampan.wire import containers, disk, distribution, events, exec, images, networks, progress, stats, system, volumes

SPEC = Path(__file__).parents[3] / "shared" / "spec" / "docker-engine-api-1.51.yaml"

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason=f"no OpenAPI file at {SPEC}")

DEFINITIONS: dict[type[msgspec.Struct], str] = {
    containers.HealthConfig: "HealthConfig",
    containers.ContainerConfig: "ContainerConfig",
    containers.RestartPolicy: "RestartPolicy",
    containers.PortBinding: "PortBinding",
    containers.DeviceMapping: "DeviceMapping",
    containers.DeviceRequest: "DeviceRequest",
    containers.ThrottleDevice: "ThrottleDevice",
    containers.Mount: "Mount",
    containers.BindOptions: "Mount.BindOptions",
    containers.VolumeOptions: "Mount.VolumeOptions",
    containers.DriverConfig: "Mount.VolumeOptions.DriverConfig",
    containers.ImageOptions: "Mount.ImageOptions",
    containers.TmpfsOptions: "Mount.TmpfsOptions",
    containers.Resources: "Resources",
    containers.Ulimit: "Resources.Ulimits[]",
    containers.WeightDevice: "Resources.BlkioWeightDevice[]",
    containers.HostConfig: "HostConfig",
    containers.LogConfig: "HostConfig.LogConfig",
    containers.NetworkingConfig: "NetworkingConfig",
    containers.CreateRequest: "/containers/create post",
    containers.CreateResponse: "ContainerCreateResponse",
    containers.UpdateRequest: "/containers/{id}/update post",
    containers.UpdateResponse: "ContainerUpdateResponse",
    containers.HealthResult: "HealthcheckResult",
    containers.Health: "Health",
    containers.ContainerState: "ContainerState",
    containers.MountPoint: "MountPoint",
    containers.Address: "Address",
    containers.NetworkSettings: "NetworkSettings",
    containers.ContainerInspect: "ContainerInspectResponse",
    containers.Port: "Port",
    containers.ContainerSummary: "ContainerSummary",
    containers.SummaryHostConfig: "ContainerSummary.HostConfig",
    containers.SummaryNetworkSettings: "ContainerSummary.NetworkSettings",
    containers.WaitError: "ContainerWaitExitError",
    containers.WaitResponse: "ContainerWaitResponse",
    containers.TopResponse: "ContainerTopResponse",
    containers.Change: "FilesystemChange",
    containers.PruneReport: "/containers/prune post 200",
    images.DriverData: "DriverData",
    images.ImageConfig: "ImageConfig",
    images.ImageHealth: "HealthConfig",
    images.ImageInspect: "ImageInspect",
    images.RootFS: "ImageInspect.RootFS",
    images.ImageMetadata: "ImageInspect.Metadata",
    images.ImageSummary: "ImageSummary",
    images.ManifestSummary: "ImageManifestSummary",
    images.ManifestSize: "ImageManifestSummary.Size",
    images.ManifestImageData: "ImageManifestSummary.ImageData",
    images.UnpackedSize: "ImageManifestSummary.ImageData.Size",
    images.AttestationData: "ImageManifestSummary.AttestationData",
    images.HistoryItem: "ImageHistoryResponseItem",
    images.DeleteItem: "ImageDeleteResponseItem",
    images.SearchItem: "/images/search get 200[]",
    images.PruneReport: "/images/prune post 200",
    images.CommitResponse: "IDResponse",
    distribution.Descriptor: "OCIDescriptor",
    distribution.Platform: "OCIPlatform",
    distribution.DistributionInspect: "DistributionInspect",
    distribution.AuthConfig: "AuthConfig",
    distribution.AuthResponse: "/auth post 200",
    networks.EndpointIPAMConfig: "EndpointIPAMConfig",
    networks.EndpointSettings: "EndpointSettings",
    networks.IPAMConfig: "IPAMConfig",
    networks.IPAM: "IPAM",
    networks.ConfigReference: "ConfigReference",
    networks.NetworkContainer: "NetworkContainer",
    networks.PeerInfo: "PeerInfo",
    networks.Network: "Network",
    networks.NetworkCreateRequest: "/networks/create post",
    networks.NetworkCreateResponse: "NetworkCreateResponse",
    networks.NetworkConnectRequest: "/networks/{id}/connect post",
    networks.NetworkDisconnectRequest: "/networks/{id}/disconnect post",
    networks.PruneReport: "/networks/prune post 200",
    volumes.UsageData: "Volume.UsageData",
    volumes.Volume: "Volume",
    volumes.VolumeCreateRequest: "VolumeCreateOptions",
    volumes.VolumeList: "VolumeListResponse",
    volumes.PruneReport: "/volumes/prune post 200",
    exec.ExecCreateRequest: "/containers/{id}/exec post",
    exec.ExecCreateResponse: "IDResponse",
    exec.ExecStartRequest: "/exec/{id}/start post",
    exec.ProcessConfig: "ProcessConfig",
    exec.ExecInspect: "/exec/{id}/json get 200",
    events.EventActor: "EventActor",
    events.Event: "EventMessage",
    stats.PidsStats: "ContainerPidsStats",
    stats.BlkioEntry: "ContainerBlkioStatEntry",
    stats.BlkioStats: "ContainerBlkioStats",
    stats.StorageStats: "ContainerStorageStats",
    stats.CPUUsage: "ContainerCPUUsage",
    stats.ThrottlingData: "ContainerThrottlingData",
    stats.CPUStats: "ContainerCPUStats",
    stats.MemoryStats: "ContainerMemoryStats",
    stats.NetworkStats: "ContainerNetworkStats",
    stats.Stats: "ContainerStatsResponse",
    progress.ProgressDetail: "ProgressDetail",
    progress.ErrorDetail: "ErrorDetail",
    progress.ProgressMessage: "BuildInfo",
    progress.ErrorResponse: "ErrorResponse",
    progress.ImageID: "ImageID",
    system.PlatformName: "SystemVersion.Platform",
    system.Component: "SystemVersion.Components[]",
    system.Version: "SystemVersion",
    system.PluginsInfo: "PluginsInfo",
    system.IndexInfo: "IndexInfo",
    system.RegistryServiceConfig: "RegistryServiceConfig",
    system.Runtime: "Runtime",
    system.SwarmInfo: "SwarmInfo",
    system.Commit: "Commit",
    system.AddressPool: "SystemInfo.DefaultAddressPools[]",
    system.FirewallInfo: "FirewallInfo",
    system.DeviceInfo: "DeviceInfo",
    system.ContainerdNamespaces: "ContainerdInfo.Namespaces",
    system.ContainerdInfo: "ContainerdInfo",
    system.Info: "SystemInfo",
    disk.BuildCache: "BuildCache",
    disk.DiskUsage: "/system/df get 200",
    disk.BuildPruneReport: "/build/prune post 200",
}

UNSPECIFIED: dict[type[msgspec.Struct], set[str]] = {
    # Keys that dockerd 28.5 takes or answers although the definition lacks them.
    containers.Mount: {"ClusterOptions"},
    containers.Resources: {"KernelMemory"},
    containers.HostConfig: {"KernelMemory"},
    containers.UpdateRequest: {"KernelMemory"},
    images.ImageInspect: {"VirtualSize"},
    images.ImageSummary: {"VirtualSize"},
    distribution.AuthConfig: {"auth", "identitytoken", "registrytoken"},
    networks.NetworkCreateRequest: {"CheckDuplicate"},
    exec.ExecCreateRequest: {"Detach"},
    events.Event: {"status", "id", "from"},
    progress.ProgressDetail: {"start", "hidecounts", "units"},
    progress.ProgressMessage: {"time", "time_nano"},
    system.Commit: {"Expected"},
    system.Runtime: {"runtimeType", "options"},
    system.Info: {"SystemStatus", "KernelMemory"},
    # Our own.
    disk.DiskUsage: {"Sampan"},
}

NOT_ANSWERED: dict[type[msgspec.Struct], set[str]] = {
    # Keys that the definition has and dockerd 28.5 neither takes nor answers there, or that only a swarm has.
    containers.Resources: {"Init"},
    containers.UpdateRequest: {"Init"},
    volumes.Volume: {"ClusterVolume"},
}


@cache
def spec() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(SPEC.read_text(), yaml.CSafeLoader)
    return loaded


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` with references followed and allOf merged."""
    while "$ref" in schema:
        schema = spec()["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if "allOf" not in schema:
        return schema
    merged: dict[str, Any] = {**schema, "properties": dict(schema.get("properties", {}))}
    for part in map(resolve, schema["allOf"]):
        merged["properties"].update(part.get("properties", {}))
        merged.setdefault("type", part.get("type", "object"))
    return merged


def definition(place: str) -> dict[str, Any]:
    """Return the schema at `Definition.Property[]` or `/path method [status]`."""
    if place.startswith("/"):
        path, method, *rest = place.removesuffix("[]").split()
        operation = spec()["paths"][path][method]
        if rest:
            schema = resolve(operation["responses"][int(rest[0])]["schema"])
        else:
            schema = resolve(next(p for p in operation["parameters"] if p["in"] == "body")["schema"])
        return resolve(schema["items"]) if place.endswith("[]") else schema
    name, *properties = place.split(".")
    schema = resolve(spec()["definitions"][name])
    for name in properties:
        schema = resolve(schema["properties"][name.removesuffix("[]")])
        if name.endswith("[]"):
            schema = resolve(schema["items"])
    return schema


def kind(shape: inspect.Type) -> str:
    """Return the OpenAPI type of one of our fields."""
    if isinstance(shape, inspect.Metadata):
        return kind(shape.type)
    if isinstance(shape, inspect.UnionType):
        return kind(next(option for option in shape.types if not isinstance(option, inspect.NoneType)))
    kinds: list[tuple[type[inspect.Type], str]] = [
        (inspect.StrType, "string"),
        (inspect.IntType, "integer"),
        (inspect.BoolType, "boolean"),
        (inspect.ListType, "array"),
        (inspect.StructType, "object"),
        (inspect.DictType, "object"),
    ]
    return next((name for cls, name in kinds if isinstance(shape, cls)), "any")


def fields(document: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    shape = inspect.type_info(document)
    assert isinstance(shape, inspect.StructType)
    return {field.encode_name: field for field in shape.fields}


@pytest.mark.parametrize(
    ("document", "place"), DEFINITIONS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_keys_are_those_of_the_definition(document, place):
    expected = set(definition(place)["properties"]) - NOT_ANSWERED.get(document, set())
    assert set(fields(document)) - UNSPECIFIED.get(document, set()) == expected


@pytest.mark.parametrize(
    ("document", "place"), DEFINITIONS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_kinds_are_those_of_the_definition(document, place):
    properties = definition(place)["properties"]
    for key, field in fields(document).items():
        if key not in properties:
            continue
        schema = resolve(properties[key])
        expected = schema.get("type") or ("object" if "properties" in schema else "any")
        assert expected == "any" or kind(field.type) in (expected, "any"), f"{document.__name__}.{key}"


@pytest.mark.parametrize(
    ("document", "place"), DEFINITIONS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_nested_documents_are_the_ones_the_definition_refers_to(document, place):
    properties = definition(place)["properties"]
    for key, field in fields(document).items():
        nested = next(iter(structs(field.type)), None)
        schema = reference(properties.get(key, {}))
        if nested is None or schema is None:
            continue
        assert DEFINITIONS[nested] == schema or nested is images.ImageHealth, f"{document.__name__}.{key}"


def structs(shape: inspect.Type) -> list[type[msgspec.Struct]]:
    if isinstance(shape, inspect.StructType):
        return [shape.cls]
    inner = [getattr(shape, name) for name in ("type", "item_type", "value_type") if hasattr(shape, name)]
    inner += getattr(shape, "types", ())
    return [found for part in inner for found in structs(part)]


def reference(schema: dict[str, Any]) -> str | None:
    """Return the object definition that `schema` (or its items or values) refers to, if it is one we declare."""
    if "$ref" in schema:
        name: str = schema["$ref"].rsplit("/", 1)[1]
        target = spec()["definitions"][name]
        if "properties" in target or "allOf" in target:
            return name if name in DEFINITIONS.values() else None
        return reference({key: value for key, value in target.items() if key != "$ref"})
    for inner in (schema.get("items"), schema.get("additionalProperties"), *schema.get("allOf", [])):
        if isinstance(inner, dict) and (found := reference(inner)):
            return found
    return None


def test_every_document_is_checked():
    modules = (containers, disk, distribution, events, exec, images, networks, progress, stats, system, volumes)
    declared = {
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, msgspec.Struct) and item.__module__ == module.__name__
    }
    # A header, not a body, and a field of our own have no definition.
    assert declared - set(DEFINITIONS) == {containers.PathStat, disk.OwnUsage}
