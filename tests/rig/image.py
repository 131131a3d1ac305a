"""A busybox image as `docker load` takes it, made in memory: the same bytes each time for the same busybox."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

NAME = "busybox:latest"
CREATED = "2024-01-01T00:00:00Z"
MTIME = 1_704_067_200
FOLDERS = "bin dev etc home proc root sbin sys tmp usr usr/bin usr/sbin var var/lib var/log var/run".split()
PASSWD = "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = "root:x:0:\nworker:x:1000:\nstaff:x:50:worker\nnogroup:x:65534:\n"

Config = Mapping[str, Any]


def busybox_path() -> Path:
    """The static busybox of Debian's package busybox-static."""
    found = shutil.which("busybox", path="/usr/bin:/bin")
    if found is None:
        raise FileNotFoundError("no busybox here: ./dev setup installs busybox-static")
    return Path(found)


@cache
def applets() -> tuple[str, ...]:
    listed = subprocess.run([busybox_path(), "--list"], capture_output=True, text=True, check=True).stdout.split()
    return tuple(sorted(set(listed) - {"busybox"}))


class Layer:
    """A layer under construction: plain tar, fixed owners and times."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(
        self, name: str, data: bytes = b"", mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
    ) -> None:
        info = tarfile.TarInfo(name)
        info.mode, info.mtime, info.type, info.linkname = mode, MTIME, kind, link
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))

    def folder(self, name: str, mode: int = 0o755) -> None:
        self.add(name, mode=mode, kind=tarfile.DIRTYPE)

    def link(self, name: str, target: str) -> None:
        self.add(name, mode=0o777, kind=tarfile.SYMTYPE, link=target)

    def finish(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


@cache
def busybox_layer() -> bytes:
    layer = Layer()
    for folder in FOLDERS:
        layer.folder(folder, 0o1777 if folder == "tmp" else 0o755)
    layer.add("bin/busybox", busybox_path().read_bytes(), 0o755)
    for applet in applets():
        layer.link(f"bin/{applet}", "busybox")
    layer.add("etc/passwd", PASSWD.encode())
    layer.add("etc/group", GROUP.encode())
    return layer.finish()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def document(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def archive(images: Mapping[str, tuple[Config, Sequence[bytes]]]) -> bytes:
    """A docker archive of several images: name to (config, plain layers from the lowest up)."""
    outer = Layer()
    manifest, written = [], set[str]()

    def once(name: str, data: bytes) -> str:
        if name not in written:
            written.add(name)
            outer.add(name, data)
        return name

    for name, (config, layers) in images.items():
        names = [once(f"{sha256(layer)}/layer.tar", layer) for layer in layers]
        image = {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer)}" for layer in layers]},
            "history": [{"created": CREATED, "created_by": f"layer {index}"} for index in range(len(layers))],
        }
        raw = document(image)
        manifest.append({"Config": once(f"{sha256(raw)}.json", raw), "RepoTags": [name], "Layers": names})
    once("manifest.json", document(manifest))
    return outer.finish()


def busybox_archive(name: str = NAME, config: Config | None = None, extra: Sequence[bytes] = ()) -> bytes:
    """The image that most tests run: busybox with `Cmd` sh, more layers on top where asked."""
    return archive({name: (config or {"Cmd": ["sh"], "Env": ["PATH=/bin:/sbin"]}, [busybox_layer(), *extra])})
