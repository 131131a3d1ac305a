"""No field that a client may send is forgotten: each of the OpenAPI file's stands here as done or as refused.

The create request's own two documents are in engine/containers/spec/fields.py (test_hostconfig_fields.py); here are
the documents inside them and the bodies of other requests. A field is read and done, or it is in the table of
tests/compat/test_refused_fields.py, which tries on a real daemon that each is refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from rig.openapi import load_spec, spec_path
from sampan.wire.containers import (
    BindOptions,
    DeviceMapping,
    DeviceRequest,
    HealthConfig,
    ImageOptions,
    LogConfig,
    Mount,
    NetworkingConfig,
    PortBinding,
    RestartPolicy,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    UpdateRequest,
    VolumeOptions,
    WeightDevice,
)
from sampan.wire.exec import ExecCreateRequest, ExecStartRequest
from sampan.wire.networks import (
    EndpointIPAMConfig,
    EndpointSettings,
    NetworkConnectRequest,
    NetworkCreateRequest,
    NetworkDisconnectRequest,
)
from sampan.wire.volumes import VolumeCreateRequest

SPEC = spec_path("1.51")
pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="the OpenAPI file is not on this machine")

# Place in the file -> our type of it.
DOCUMENTS = {
    "definitions/HealthConfig": HealthConfig,
    "definitions/RestartPolicy": RestartPolicy,
    "definitions/NetworkingConfig": NetworkingConfig,
    "definitions/EndpointSettings": EndpointSettings,
    "definitions/EndpointIPAMConfig": EndpointIPAMConfig,
    "definitions/Mount": Mount,
    "definitions/Mount/properties/BindOptions": BindOptions,
    "definitions/Mount/properties/VolumeOptions": VolumeOptions,
    "definitions/Mount/properties/ImageOptions": ImageOptions,
    "definitions/Mount/properties/TmpfsOptions": TmpfsOptions,
    "definitions/DeviceMapping": DeviceMapping,
    "definitions/DeviceRequest": DeviceRequest,
    "definitions/ThrottleDevice": ThrottleDevice,
    "definitions/PortBinding": PortBinding,
    "definitions/Resources/properties/Ulimits/items": Ulimit,
    "definitions/Resources/properties/BlkioWeightDevice/items": WeightDevice,
    "definitions/HostConfig/allOf/1/properties/LogConfig": LogConfig,
    "definitions/VolumeCreateOptions": VolumeCreateRequest,
    "body/NetworkConnect": NetworkConnectRequest,
    "body/NetworkDisconnect": NetworkDisconnectRequest,
    "body/NetworkCreate": NetworkCreateRequest,
    "body/ContainerUpdate": UpdateRequest,
    "body/ContainerExec": ExecCreateRequest,
    "body/ExecStart": ExecStartRequest,
}
# In dockerd's documents, not in the file.
UNDOCUMENTED = {
    "body/ContainerUpdate": {"KernelMemory"},
    "body/ContainerExec": {"Detach"},
    "definitions/Mount": {"ClusterOptions"},
    "body/NetworkCreate": {"CheckDuplicate"},
}
# In the file, not in dockerd's documents: it ignores them as well.
NOT_OF_DOCKER = {
    "body/ContainerUpdate": {"Init"},
}


def place(path: str) -> dict[str, Any]:
    """A node of the file; `body/OPERATION` is the body of an operation."""
    spec: Any = load_spec(SPEC)
    kind, _, name = path.partition("/")
    if kind == "body":
        return body_of(spec, name)
    for step in path.split("/"):
        spec = spec[int(step)] if isinstance(spec, list) else spec[step]
    return dict(spec)


def body_of(spec: dict[str, Any], operation: str) -> dict[str, Any]:
    for item in spec["paths"].values():
        for method in item.values():
            if isinstance(method, dict) and method.get("operationId") == operation:
                return next(dict(p["schema"]) for p in method["parameters"] if p["in"] == "body")
    raise LookupError(operation)


def fields(node: dict[str, Any]) -> set[str]:
    found = set(node.get("properties", {}))
    for part in node.get("allOf", []):
        found |= fields(part)
    if "$ref" in node:
        found |= fields(load_spec(SPEC)["definitions"][node["$ref"].rpartition("/")[2]])
    return found


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_field_is_read(path):
    ours = set(DOCUMENTS[path].__struct_encode_fields__)
    assert ours == fields(place(path)) - NOT_OF_DOCKER.get(path, set()) | UNDOCUMENTED.get(path, set())


def test_every_body_with_fields_is_in_the_table():
    spec = load_spec(SPEC)
    ours = {path.partition("/")[2] for path in DOCUMENTS if path.startswith("body/")}
    ours |= {"ContainerCreate", "ImageCommit", "VolumeCreate"}
    outside = ("Swarm", "Service", "Secret", "Config", "Node", "Plugin", "Volume Update", "SystemAuth", "Session")
    for item in spec["paths"].values():
        for method in item.values():
            if not isinstance(method, dict):
                continue
            bodies = [p["schema"] for p in method.get("parameters", []) if p.get("in") == "body"]
            name = method["operationId"]
            if any(fields(body) for body in bodies) and not name.startswith(outside) and name != "VolumeUpdate":
                assert name in ours, f"{name} has a body whose fields are in no table"
