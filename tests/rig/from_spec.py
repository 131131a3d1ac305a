"""Requests made from the OpenAPI file: about objects that live, well formed but, half the time, for one place.

requests = Requests(load_spec(spec_path("1.51")), cast, dice, safe)
call = requests.next()      # an operation with its method, target, fields and body
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from rig.cast import Cast
from rig.harmless import COMMANDS, tame

DEEP: Any = "x"
for _ in range(80):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        255,
        65536,
        2**31,
        -(2**31) - 1,
        2**32,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        2**63,
        2**64,
    ),
    *(
        0.5,
        -0.0,
        1e308,
        10**40,
        "",
        " ",
        "0",
        "-1",
        "x",
        "/",
        "//",
        "..",
        "../..",
        ".",
        ":",
        ":::",
        "@",
        "%",
        "%zz",
        "\n",
    ),
    *(
        "\0",
        "\r\nX: y",
        "ä",
        "\u202e",
        "😀",
        "\ud800",
        "a" * 256,
        "a" * 5000,
        "null",
        "{}",
        "[]",
        "{",
        "sha256:",
        "-",
        "_",
    ),
    *("true", "TRUE", "1.5", "1e9", "0x10", "9" * 30, "2024-01-01", "NaN", [], {}, [None], [[]], {"": ""}, {"x": None}),
    *([1], ["x"], ["x", 1], {"x": 1}, {"x": ["y"]}, {"x": {"true": True}}, DEEP),
)
_NOUN_OF_PARAMETER = {
    "container": "container",
    "fromImage": "image",
    "names": "image",
    "repo": "image",
    "term": "image",
}
_FILTERS = (
    *("label", "name", "id", "status", "reference", "dangling", "until", "before", "since", "driver", "type", "scope"),
    *("ancestor", "exited", "health", "volume", "network", "publish", "expose", "is-task", "event", "container", "all"),
)
_WORDS: dict[str, tuple[Any, ...]] = {
    "Cmd": COMMANDS,
    "Entrypoint": (None, None, None, [], *COMMANDS),
    "Shell": (None, ["sh", "-c"]),
    "Test": ([], ["NONE"], ["CMD", "true"], ["CMD-SHELL", "false"]),
    "User": ("", "root", "1000", "1000:1000", "worker", "nobody:staff", "nonesuch"),
    "Env": (["A=b"], ["A"], ["PATH=/bin"], []),
    "WorkingDir": ("", "/", "/tmp", "/made"),
    "StopSignal": ("", "SIGTERM", "SIGKILL", "SIGUSR1", "15"),
    "StopTimeout": (None, 0, 1, 10, -1),
    "signal": ("", "SIGTERM", "SIGKILL", "SIGUSR1", "HUP", "9", "0"),
    "t": ("", "0", "1", "10", "-1", "100000"),
    "condition": ("", "not-running", "next-exit", "removed"),
    "h": ("24", "0"),
    "w": ("80", "0"),
    "tail": ("", "all", "0", "3"),
    "since": ("", "0", "1700000000", "1700000000.5", "10m"),
    "until": ("1", "1700000000", "4000000000"),
    "path": ("/", "/tmp", "/etc/passwd", "/bin/sh", "/nonesuch", "tmp/", "/proc/self", "/data"),
    "platform": ("", "linux/amd64", "linux", "linux/arm64/v8", '{"os":"linux","architecture":"amd64"}'),
    "changes": ("CMD true", "ENV a=b", "LABEL x=y", "WORKDIR /x", "NONSENSE"),
    "ps_args": ("", "aux", "-ef", "-o pid"),
    "detachKeys": ("", "ctrl-a", "ctrl-p,ctrl-q", "a,b"),
    "fromSrc": ("-", "-", "http://127.0.0.1:9/x.tar"),
    "tag": ("", "latest", "v1"),
    "scope": ("", "local", "swarm"),
    "ps": ("",),
    "NetworkMode": ("", "none", "bridge", "host", "default", "cast-network", "container:cast-sleeps"),
    "PidMode": ("", "host", "container:cast-sleeps"),
    "IpcMode": ("", "private", "shareable", "host", "none", "container:cast-sleeps"),
    "CgroupnsMode": ("", "private", "host"),
    "UsernsMode": ("", "host"),
    "Memory": (0, 16 << 20, 64 << 20),
    "MemoryReservation": (0, 16 << 20),
    "MemorySwap": (0, -1, 128 << 20),
    "MemorySwappiness": (None, 0, 60, 100),
    "NanoCpus": (0, 500_000_000),
    "CpuPeriod": (0, 100_000),
    "CpuQuota": (0, 50_000),
    "CpusetCpus": ("", "0", "0-1"),
    "CpusetMems": ("", "0"),
    "CpuShares": (0, 2, 1024),
    "PidsLimit": (None, 0, -1, 100),
    "BlkioWeight": (0, 10, 500),
    "ShmSize": (0, 1 << 20, 64 << 20),
    "OomScoreAdj": (0, 100, 1000),
    "Binds": (["cast-volume:/data"], ["/safe:/data:ro"], ["fresh:/data:nocopy"], []),
    "VolumesFrom": (["cast-sleeps"], ["cast-made:ro"], []),
    "Volumes": ({"/data": {}}, {}),
    "Tmpfs": ({"/run": ""}, {"/run": "size=1m,mode=700"}, {}),
    "Ulimits": ([{"Name": "nofile", "Soft": 100, "Hard": 200}], [{"Name": "core", "Soft": 0, "Hard": 0}], []),
    "CapAdd": (["NET_ADMIN"], ["ALL"], ["CAP_CHOWN"], []),
    "CapDrop": (["ALL"], ["MKNOD"], []),
    "SecurityOpt": (["no-new-privileges"], ["seccomp=unconfined"], ["apparmor=unconfined"], ["label=disable"], []),
    "GroupAdd": (["staff"], ["1234"], []),
    "Dns": (["192.0.2.1"], []),
    "ExtraHosts": (["a:192.0.2.1"], ["gate:host-gateway"], []),
    "Links": (["cast-connected:alias"], []),
    "Devices": ([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}], []),
    "DeviceCgroupRules": (["c 1:3 rwm"], []),
    "DeviceRequests": (None, []),
    "StorageOpt": (None, {}),
    "Sysctls": ({"net.ipv4.ip_forward": "1"}, {}),
    "LogConfig": ({}, {"Type": "json-file", "Config": {"max-size": "1m"}}, {"Type": "local"}, {"Type": "none"}),
    "RestartPolicy": ({"Name": "no"}, {"Name": "always"}, {"Name": "on-failure", "MaximumRetryCount": 2}, {}),
    "PortBindings": ({"80/tcp": [{"HostPort": ""}]}, {"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}, {}),
    "ExposedPorts": ({"80/tcp": {}}, {}),
    "Runtime": ("", "crun", "runc"),
    "Isolation": ("", "default"),
    "VolumeDriver": ("", "local"),
    "Mounts": (
        [{"Type": "volume", "Source": "cast-volume", "Target": "/data"}],
        [{"Type": "tmpfs", "Target": "/run"}],
        [{"Type": "bind", "Source": "/safe", "Target": "/data", "ReadOnly": True}],
        [{"Type": "image", "Source": "busybox", "Target": "/image"}],
        [],
    ),
    "MacAddress": ("", "02:42:ac:11:00:77"),
    "Driver": ("local", "bridge", "macvlan", "null", "default", ""),
    "DriverOpts": ({}, {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}, None),
    "Labels": ({"x": "y"}, {}),
    "Config": ([{"Subnet": "10.77.0.0/24"}], [{"Subnet": "fd77::/64"}], [], None),
    "IPAMConfig": (None, {}, {"IPv4Address": "10.77.0.9"}),
    "ConsoleSize": (None, [24, 80]),
    "ListenAddr": ("", "127.0.0.1:2377"),
    "serveraddress": ("127.0.0.1:9", ""),
}
UPSTREAM = frozenset(("ImageCreate", "ImagePush", "ImageSearch", "SystemAuth", "DistributionInspect", "ImageBuild"))
"""Operations that ask a registry, of which there is none."""
PATIENT = frozenset(
    (
        *("ContainerStop", "ContainerRestart", "ContainerWait", "ContainerLogs", "ContainerStats", "ContainerAttach"),
        *("ContainerAttachWebsocket", "SystemEvents", "ExecStart", "Session"),
    )
)
"""Operations that may take as long as they like: clients leave them."""


@dataclass(frozen=True)
class Call:
    """A request, and the operation that it is meant for."""

    operation: str
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        shown = repr(self.body) if len(self.body or b"") < 2000 else f"{len(self.body or b'')} bytes"
        return f"{self.operation}: {self.method} {self.target[:2000]} {self.headers} {shown}"


class Requests:
    """An endless row of them. `safe` is the one folder of the host that containers may see."""

    def __init__(self, spec: dict[str, Any], cast: Cast, dice: random.Random, safe: Path) -> None:
        self._definitions = spec["definitions"]
        self._cast = cast
        self._dice = dice
        self._safe = safe
        self._operations = [
            (method.upper(), path, operation)
            for path, item in spec["paths"].items()
            for method, operation in item.items()
            if isinstance(operation, dict) and "operationId" in operation
        ]
        outside = re.compile("/(swarm|nodes|services|tasks|secrets|configs|plugins)")
        self._weights = [1 if outside.match(path) else 6 for _, path, _ in self._operations]

    def next(self) -> Call:
        """The next request."""
        method, path, operation = self._dice.choices(self._operations, self._weights)[0]
        target, query, headers, body = path, list[tuple[str, str]](), dict[str, str](), None
        parameters = operation.get("parameters", [])
        odd = self._dice.choice(parameters)["name"] if parameters and self._dice.random() < 0.35 else None
        for parameter in parameters:
            name = parameter["name"]
            if parameter["in"] == "path":
                noun = path.split("/")[1].rstrip("s")
                value = self._text(ODD) if name == odd and self._dice.random() < 0.3 else self._living(noun)
                target = target.replace(f"{{{name}}}", quote(value, safe=":@", errors="surrogatepass"))
            elif parameter["in"] == "query":
                query += self._query(parameter, name == odd)
            elif parameter["in"] == "header":
                headers[name] = self._header(name, name == odd)
            else:
                body = self._body(operation["operationId"], parameter["schema"], headers)
        if operation["operationId"] in ("ContainerAttach", "ContainerAttachWebsocket", "ExecStart", "Session"):
            headers |= self._upgrade(operation["operationId"])
        if query:
            target += "?" + urlencode(query, errors="surrogatepass")
        return Call(operation["operationId"], method, target or "/", headers, body)

    # parts of a request

    def _living(self, noun: str) -> str:
        noun = {"distribution": "image", "exec": "exec"}.get(noun, noun)
        return self._cast.name(noun, self._dice) if noun in ("container", "image", "volume", "network", "exec") else "x"

    def _query(self, parameter: dict[str, Any], odd: bool) -> list[tuple[str, str]]:
        name, kind = parameter["name"], parameter.get("type")
        if odd:
            return [(name, self._text(ODD))]
        if not parameter.get("required") and self._dice.random() < 0.5:
            return []
        if name == "filters":
            return [(name, json.dumps(self._filters()))]
        if kind == "boolean":
            return [(name, self._dice.choice(("0", "1", "true", "false")))]
        if name == "name":
            return [(name, f"made-{self._dice.randrange(40)}")]
        if name in _WORDS:
            return [(name, self._dice.choice(_WORDS[name]))]
        if name in _NOUN_OF_PARAMETER:
            return [(name, self._living(_NOUN_OF_PARAMETER[name]))]
        return [(name, "3" if kind == "integer" else self._dice.choice(("", "x")))]

    def _filters(self) -> dict[str, Any]:
        keys = self._dice.sample(_FILTERS, self._dice.choice((0, 1, 1, 2)))
        values = (
            "true",
            "false",
            "x",
            "x=y",
            "running",
            "created",
            "0",
            "1h",
            "80/tcp",
            "bridge",
            "busybox",
            "cast-made",
        )
        return {
            key: self._dice.choice(([self._dice.choice(values)], {self._dice.choice(values): True}, [])) for key in keys
        }

    def _header(self, name: str, odd: bool) -> str:
        if name.lower() == "content-type":
            return "application/x-tar"
        document = {"username": "u", "password": "p", "serveraddress": "127.0.0.1:9"}
        return "garbage" if odd else base64.urlsafe_b64encode(json.dumps(document).encode()).decode()

    def _upgrade(self, operation: str) -> dict[str, str]:
        if operation == "ContainerAttachWebsocket":
            key = base64.b64encode(self._dice.randbytes(16)).decode()
            return {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": key,
                "Sec-WebSocket-Version": "13",
            }
        if operation == "Session":
            return {"Connection": "Upgrade", "Upgrade": "h2c"}
        return {"Connection": "Upgrade", "Upgrade": "tcp"} if self._dice.random() < 0.7 else {}

    def _body(self, operation: str, schema: dict[str, Any], headers: dict[str, str]) -> bytes | None:
        if schema.get("type") == "string":
            headers["Content-Type"] = "application/x-tar"
            return self._archive()
        document = self._value("", schema, 0)
        if operation == "ContainerCreate" and isinstance(document, dict):
            document.setdefault("Cmd", ["sleep", "30"])
            document["Image"] = self._living("image")
        if self._dice.random() < 0.5:
            document = self._with_one_off(document)
        headers["Content-Type"] = "application/json"
        text = json.dumps(tame(document, self._safe, self._dice))
        if self._dice.random() < 0.03:
            cut = self._dice.randrange(len(text) + 1)
            text = text[:cut] + self._dice.choice(("", "}", "\0", "x", ",")) + text[cut:] if cut % 2 else text[:cut]
        return text.encode()

    def _archive(self) -> bytes:
        """A small tar, sometimes compressed, sometimes damaged."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for number in range(self._dice.randrange(4)):
                kind = self._dice.choice((tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE))
                name = self._dice.choice(
                    (f"file-{number}", f"a/b/{number}", "../up", "/abs", "manifest.json", ".wh.x", "ä")
                )
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.mode = kind, self._dice.choice(("file-0", "/tmp", "..")), 0o644
                data = self._dice.choice((b"", b"x", b"[]", b"y" * 3000)) if kind == tarfile.REGTYPE else b""
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        damaged = bytearray(buffer.getvalue())
        for _ in range(self._dice.choice((0, 0, 1, 8))):
            damaged[self._dice.randrange(len(damaged))] = self._dice.randrange(256)
        cut = self._dice.randrange(len(damaged)) if self._dice.random() < 0.15 else len(damaged)
        whole = bytes(damaged[:cut])
        return gzip.compress(whole) if self._dice.random() < 0.2 else whole

    # documents

    def _value(self, name: str, schema: dict[str, Any], depth: int) -> Any:
        if "$ref" in schema:
            return self._value(name, self._definitions[schema["$ref"].rpartition("/")[2]], depth)
        if name in _WORDS and self._dice.random() < 0.9:
            return self._dice.choice(_WORDS[name])
        if name in ("Name", "Id", "Container", "Image"):
            noun = {"Container": "container", "Image": "image"}.get(name)
            return self._living(noun) if noun else f"made-{self._dice.randrange(40)}"
        if "allOf" in schema or "properties" in schema:
            return self._object(schema, depth)
        if "enum" in schema:
            return self._dice.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "array":
            return [self._value(name, schema.get("items", {}), depth + 1) for _ in range(self._dice.choice((0, 1, 2)))]
        if kind == "object":
            inner = schema.get("additionalProperties")
            return {"x": self._value("", inner, depth + 1)} if isinstance(inner, dict) else {}
        plain = {"boolean": (True, False), "integer": (0, 1, 100), "number": (0, 1.5)}
        return self._dice.choice(plain.get(str(kind), ("", "x")))

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for part in schema.get("allOf", []):
            inner = self._value("", part, depth)
            document |= inner if isinstance(inner, dict) else {}
        likely = 0.7 if depth == 0 and len(schema.get("properties", {})) < 6 else 0.15
        for name, inner in schema.get("properties", {}).items():
            if name in schema.get("required", ()) or self._dice.random() < likely:
                document[name] = self._value(name, inner, depth + 1)
        return document

    def _with_one_off(self, document: Any) -> Any:
        """The document with something odd in one place."""
        if isinstance(document, dict) and document and self._dice.random() < 0.95:
            key = self._dice.choice(list(document))
            if self._dice.random() < 0.05:
                return {**document, self._text(ODD): document[key]}
            return {**document, key: self._with_one_off(document[key])}
        if isinstance(document, list) and document and self._dice.random() < 0.7:
            place = self._dice.randrange(len(document))
            return [*document[:place], self._with_one_off(document[place]), *document[place + 1 :]]
        return self._dice.choice(ODD)

    def _text(self, values: tuple[Any, ...]) -> str:
        value = self._dice.choice(values)
        return value if isinstance(value, str) else json.dumps(value)
