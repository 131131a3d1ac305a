"""Checks replies against the OpenAPI file of the Engine API. For tests only.

    validator = validator_of("1.51")
    problems = validator.problems(Reply("GET", "/v1.51/info", 200, "application/json", body, whole=True))

The file is Swagger 2.0 and leaves out what Go does: arrays and objects may be null there, and so they may here.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from rig.recording import JSON, Reply

SPECS = Path(__file__).parents[3] / "shared" / "spec"
LINES = frozenset(("SystemEvents", "ContainerStats", "ImageCreate", "ImagePush", "ImageLoad", "ImageBuild"))
"""Operations whose body is a document a line."""
DIFFERENT = {
    "ExecInspect['ExitCode']": "null until the command has ended",
    "ContainerInspect['HostConfig']['MemorySwappiness']": "null where nobody asked for one",
}
"""Places where a genuine dockerd is not as the file says, and so are we."""
FORGOTTEN_BY_ALL = {
    301: "a path that isn't clean leads to the clean one",
    400: "a malformed parameter or body is a wrong request, of whatever operation",
    404: "what a path, a filter or a body names is not there",
    409: "what is named is in no state for it, or taken",
    501: "what is not there yet in this version of Sampan",
}
"""Statuses that every operation may answer with, though the file lists them only here and there."""
FORGOTTEN = {
    ("ExecStart", 101): "an upgraded connection, as of attach, where the file has it",
    ("VolumeCreate", 503): "a cluster volume outside a swarm",
}
"""Statuses of single operations that a genuine dockerd answers with and the file leaves out."""
_KEPT = ("type", "enum", "required", "properties", "items", "additionalProperties", "allOf", "minimum", "maximum")
_PREFIX = re.compile(r"/v[0-9.]+(?=/)")


def spec_path(version: str) -> Path:
    """Where the file of a version lies, beside the repository; it need not exist."""
    return SPECS / f"docker-engine-api-{version}.yaml"


@cache
def load_spec(path: Path) -> dict[str, Any]:
    """The parsed file."""
    document: dict[str, Any] = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


def json_schema(node: Any) -> Any:
    """A Swagger schema as a JSON schema (draft 4) in which null is where Go may write it."""
    if isinstance(node, list):
        return [json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    schema = {key: node[key] for key in _KEPT if key in node}
    if "properties" in schema:
        schema["properties"] = {name: json_schema(item) for name, item in schema["properties"].items()}
    for key in ("items", "additionalProperties", "allOf"):
        if key in schema:
            schema[key] = json_schema(schema[key])
    if schema.get("type") in ("array", "object") or node.get("x-nullable"):
        schema = _nullable(schema)
    return schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "type" in schema:
        schema["type"] = [schema["type"], "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema


class ResponseValidator:
    """Knows every operation's replies of one version of the API."""

    def __init__(self, path: Path) -> None:
        spec = load_spec(path)
        self._definitions = {name: json_schema(node) for name, node in spec["definitions"].items()}
        self._operations = [
            (method.upper(), _pattern(template), operation)
            for template, item in sorted(spec["paths"].items(), key=lambda entry: entry[0].count("{"))
            for method, operation in item.items()
            if isinstance(operation, dict) and "operationId" in operation
        ]
        self._validators: dict[tuple[str, int], jsonschema_rs.Draft4Validator | None] = {}

    def problems(self, reply: Reply) -> list[str]:
        """What of a reply is not as the file says; nothing for paths that it doesn't have."""
        operation = self._find(reply.method, _PREFIX.sub("", reply.target.partition("?")[0], count=1))
        if operation is None:
            return []
        name, status = operation["operationId"], reply.status
        if status not in operation["responses"] and str(status) not in operation["responses"]:
            forgotten = status in FORGOTTEN_BY_ALL or (name, status) in FORGOTTEN
            return [] if forgotten else [f"{name}: the file has no reply with status {status}"]
        validator = self._validator(operation, status)
        if validator is None or reply.method == "HEAD" or reply.content_type != JSON:
            return []
        lines = name in LINES
        if not (reply.whole or lines):
            return []
        found = _check(validator, _documents(reply) if lines else [reply.body])
        return [f"{name} {status}: {place}: {words}" for place, words in found if f"{name}{place}" not in DIFFERENT]

    def _find(self, method: str, path: str) -> dict[str, Any] | None:
        for known, pattern, operation in self._operations:
            if known == method and pattern.fullmatch(path):
                return operation
        return None

    def _validator(self, operation: dict[str, Any], status: int) -> jsonschema_rs.Draft4Validator | None:
        key = (operation["operationId"], status)
        if key not in self._validators:
            responses = operation["responses"]
            schema = responses.get(status, responses.get(str(status))).get("schema")
            self._validators[key] = None
            if schema is not None and schema.get("type") != "string":
                whole = {"definitions": self._definitions, **json_schema(schema)}
                self._validators[key] = jsonschema_rs.Draft4Validator(whole)
        return self._validators[key]


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(template)))


def _documents(reply: Reply) -> list[bytes]:
    """The lines that a stream has come to the end of."""
    lines = reply.body.splitlines(keepends=True)
    return [line for line in lines if reply.whole or line.endswith(b"\n")]


def _check(validator: jsonschema_rs.Draft4Validator, documents: list[bytes]) -> list[tuple[str, str]]:
    """Place and words of each problem."""
    found = []
    for text in documents:
        try:
            document = json.loads(text)
        except ValueError as error:
            found.append(("", f"not JSON: {error}"))
            continue
        for problem in validator.iter_errors(document):
            found.append(("".join(f"[{step!r}]" for step in problem.instance_path), problem.message))
    return found


@cache
def validator_of(version: str) -> ResponseValidator | None:
    """The validator of a version; None where its file is not there."""
    path = spec_path(version)
    return ResponseValidator(path) if path.exists() else None
