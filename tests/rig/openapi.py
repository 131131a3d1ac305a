"""Checks replies against the OpenAPI file of the Engine API. For tests only.

    validator = ResponseValidator(spec_path("1.51"))
    problems = validator.problems("GET", "/v1.51/info", 200, "application/json", body)

    server = ApiServer(routes); checked = Checked(server.handle, validator)     # as a handler around another
    HttpServer(checked) ... ; assert checked.problems == []

The file is Swagger 2.0 and leaves out what Go does: arrays and objects may be null there, and so they may here.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from sampan.http import FileBody, Handler, Request, Response, Upgrade

SPECS = Path(__file__).parents[3] / "shared" / "spec"
LINES = frozenset(("SystemEvents", "ContainerStats", "ImageCreate", "ImagePush", "ImageLoad", "ImageBuild"))
"""Operations whose body is a document a line."""
DIFFERENT = {
    "ExecInspect['ExitCode']": "null until the command has ended",
    "ContainerInspect['HostConfig']['MemorySwappiness']": "null where nobody asked for one",
}
"""Places where a genuine dockerd is not as the file says, and so are we."""
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

    def problems(self, method: str, target: str, status: int, content_type: str, body: bytes) -> list[str]:
        """What of a reply is not as the file says; nothing for paths that it doesn't have."""
        operation = self._find(method, _PREFIX.sub("", target.partition("?")[0], count=1))
        if operation is None or status == 101:
            return []
        name = operation["operationId"]
        if status not in operation["responses"] and str(status) not in operation["responses"]:
            return [] if status in (400, 501) else [f"{name}: the file has no reply with status {status}"]
        validator = self._validator(operation, status)
        if validator is None or not content_type.startswith("application/json"):
            return []
        found = _check(validator, body, name in LINES)
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


def _check(validator: jsonschema_rs.Draft4Validator, body: bytes, lines: bool) -> list[tuple[str, str]]:
    """Place and words of each problem."""
    found = []
    for part in body.splitlines() if lines else [body]:
        try:
            document = json.loads(part)
        except ValueError as error:
            found.append(("", f"not JSON: {error}"))
            continue
        for problem in validator.iter_errors(document):
            found.append(("".join(f"[{step!r}]" for step in problem.instance_path), problem.message))
    return found


class Checked:
    """A handler that passes on another's replies and notes what is wrong with them."""

    def __init__(self, handler: Handler, validator: ResponseValidator) -> None:
        self._handler = handler
        self._validator = validator
        self.problems: list[str] = []

    async def __call__(self, request: Request) -> Response | Upgrade:
        reply = await self._handler(request)
        if isinstance(reply, Response) and not isinstance(reply.body, FileBody):
            if isinstance(reply.body, bytes):
                self._note(request, reply, reply.body)
            else:
                reply.body = self._copied(request, reply, reply.body)
        return reply

    async def _copied(self, request: Request, reply: Response, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        pieces = []
        try:
            async for piece in body:
                pieces.append(piece)
                yield piece
        finally:
            if hasattr(body, "aclose"):
                await body.aclose()
        self._note(request, reply, b"".join(pieces))

    def _note(self, request: Request, reply: Response, body: bytes) -> None:
        content_type = reply.headers.get("Content-Type", "")
        if request.method != "HEAD":
            self.problems += self._validator.problems(request.method, request.target, reply.status, content_type, body)
