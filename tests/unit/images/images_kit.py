"""Archives of images for tests, and an Images service on a temporary root."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field

from sampan.images.service import Images
from sampan.oci.platform import Platform
from sampan.store.db import Database
from sampan.store.paths import DataPaths

HOST = Platform.host().architecture
OTHER = "arm64" if HOST != "arm64" else "amd64"


def sha(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tar(*entries):
    """A tar of (name, bytes) files, and of TarInfos as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            archive.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def config(layers, architecture=HOST, **fields):
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": fields.pop("created", "2020-01-01T00:00:00Z"),
        "config": fields.pop("run", {"Cmd": ["sh"]}),
        "rootfs": {"type": "layers", "diff_ids": [sha(layer) for layer in layers]},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": f"step {n}"} for n in range(len(layers))],
        **fields,
    }
    return json.dumps(document).encode()


def docker_archive(*images, extra=()):
    """docker's older archive. Each image: (names, layers, config fields)."""
    entries, items = [], []
    for names, layers, fields in images:
        document = config(layers, **fields)
        paths = [f"{hashlib.sha256(layer).hexdigest()}/layer.tar" for layer in layers]
        entries += [*zip(paths, layers, strict=True), (f"{sha(document)[7:]}.json", document)]
        items.append({"Config": f"{sha(document)[7:]}.json", "RepoTags": names, "Layers": paths})
    return tar(*entries, *extra, ("manifest.json", json.dumps(items).encode()))


def oci_blobs(*contents):
    return [(f"blobs/sha256/{hashlib.sha256(content).hexdigest()}", content) for content in contents]


@dataclass
class Layout:
    """An OCI image layout in the making."""

    entries: list = field(default_factory=list)
    index: list = field(default_factory=list)

    def add(self, content):
        self.entries += oci_blobs(content)
        return sha(content)

    def image(self, layers, architecture=HOST, compress=True, **fields):
        """Add an image; its manifest's descriptor with the platform."""
        document = config(layers, architecture, **fields)
        blobs = [gzip.compress(layer, mtime=0) if compress else layer for layer in layers]
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress else "")
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": self.add(document),
                    "size": len(document),
                },
                "layers": [{"mediaType": kind, "digest": self.add(blob), "size": len(blob)} for blob in blobs],
            }
        ).encode()
        return {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": self.add(manifest),
            "size": len(manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }

    def nested(self, *descriptors):
        """Add an index of these; its descriptor."""
        content = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": list(descriptors),
            }
        ).encode()
        return {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": self.add(content),
            "size": len(content),
        }

    def name(self, descriptor, *names):
        for text in names or (None,):
            notes = {"annotations": {"io.containerd.image.name": text}} if text else {}
            self.index.append({**descriptor, **notes})

    def archive(self):
        index = json.dumps({"schemaVersion": 2, "manifests": self.index}).encode()
        return tar(("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), *self.entries, ("index.json", index))


@dataclass
class User:
    id: str
    running: bool = False


class Kit:
    """An Images service, the events it sent, and the containers that use images."""

    def __init__(self, root):
        self.root = root
        self.paths = DataPaths(root)
        self.events = []
        self.users = {}
        self.open()

    def open(self):
        self.database = Database(self.paths.database)
        self.images = Images(self.database, self.paths, self, lambda image: self.users.get(image, []))
        self.images.recover()

    def emit(self, kind, action, actor, attributes):
        self.events.append((action, actor, dict(attributes)))

    def close(self):
        self.images.close()
        self.database.close()

    def reopen(self):
        self.close()
        self.open()

    async def load(self, content, chunk=1 << 16, **options):
        """The lines of a load, decoded."""
        return [json.loads(line) async for line in self.images.load(reading(content, chunk), **options)]

    async def save(self, *refs, **options):
        return b"".join([piece async for piece in await self.images.save(refs, **options)])

    def left(self):
        """What is on the disk: blobs, snapshot folders and ingests."""
        self.images.collector._sweeper.submit(int).result()
        self.images.snapshots._sweeper.submit(int).result()
        blobs = [path.name for path in (self.paths.blobs / "sha256").iterdir()]
        snapshots = [path.name for path in self.paths.snapshots.iterdir() if path.name != "empty"]
        return sorted(blobs), sorted(snapshots), [path.name for path in self.paths.ingest.iterdir()]


def reading(content, chunk=1 << 16):
    pieces = (content[start : start + chunk] for start in range(0, len(content), chunk))

    async def read(limit):
        return next(pieces, b"")

    return read


def members(content):
    """The files of a tar by name."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}
