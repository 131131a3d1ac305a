"""No field of the create request is forgotten: each of the OpenAPI file's is done or refused, and none is both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.engine.containers.spec import fields
from sampan.engine.containers.spec.fields import ACCEPTED, REFUSED, refuse_unknown
from sampan.errors import NotImplementedYet
from sampan.wire.containers import CreateRequest, HostConfig

SPEC = Path(__file__).parents[3] / "shared" / "spec" / "docker-engine-api-1.51.yaml"
# In dockerd's documents, not in the file.
UNDOCUMENTED = {"HostConfig.KernelMemory"}

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="the OpenAPI file is not on this machine")


def properties(definitions: dict[str, Any], name: str) -> set[str]:
    definition = definitions[name]
    parts = [definition, *definition.get("allOf", [])]
    own = {key for part in parts for key in part.get("properties", {})}
    references = [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]
    return own.union(*(properties(definitions, reference) for reference in references))


def documented() -> set[str]:
    definitions = yaml.safe_load(SPEC.read_text())["definitions"]
    kinds = {"Config": "ContainerConfig", "HostConfig": "HostConfig"}
    return {f"{kind}.{key}" for kind, name in kinds.items() for key in properties(definitions, name)}


def test_every_field_is_done_or_refused():
    assert {*ACCEPTED, *REFUSED} == documented() | UNDOCUMENTED


def test_no_field_is_both():
    assert ACCEPTED.keys().isdisjoint(REFUSED)


def test_a_refused_field_with_a_value_is_named(monkeypatch):
    """The table may be empty, so one field is refused here for the test."""
    monkeypatch.setattr(fields, "REFUSED", {**REFUSED, "HostConfig.Links": "links", "Config.OnBuild": "triggers"})
    for field in fields.REFUSED:
        kind, _, key = field.partition(".")
        document = HostConfig if kind == "HostConfig" else CreateRequest
        attribute = dict(zip(document.__struct_encode_fields__, document.__struct_fields__, strict=True))[key]
        host = HostConfig(**{attribute: ["x"]}) if kind == "HostConfig" else HostConfig()
        request = CreateRequest(**{attribute: ["x"]}) if kind == "Config" else CreateRequest()
        with pytest.raises(NotImplementedYet, match=field):
            refuse_unknown(request, host)
    refuse_unknown(CreateRequest(), HostConfig())
