"""Other people's registries: pulling, pushing, listing, over the OCI distribution API 1.1 (and docker's v2).

    Remote(settings)                       connections, tokens, endpoints; one per process or command
      .repository(reference, credentials)  -> RegistryClient     one repository: manifests, blobs, tags, referrers
    Puller(client, sink)                   manifest -> platform -> config and layers, side by side, into a Sink
    Pusher(client, source)                 blobs that are not there yet, side by side, then manifests, from a Source

A Sink or Source is whoever keeps the bytes: the engine's content store (contents.py), or another registry (copy.py).

Worked use:

    async with Remote(RemoteSettings()) as remote:
        client = remote.repository(Reference.parse("busybox"), None)
        pulled = await Puller(client, sink, report).pull("latest", Platform.host())
"""

from __future__ import annotations

from sampan.images.remote.auth import Credentials
from sampan.images.remote.client import RegistryClient, RemoteManifest
from sampan.images.remote.pull import Pulled, Puller
from sampan.images.remote.push import Pusher
from sampan.images.remote.remote import Remote
from sampan.images.remote.settings import Proxies, RemoteSettings
from sampan.images.remote.sides import BlobWriter, Report, Sink, Source, Stage
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference

__all__ = [
    "BlobWriter",
    "Credentials",
    "Platform",
    "Proxies",
    "Pulled",
    "Puller",
    "Pusher",
    "Reference",
    "RegistryClient",
    "Remote",
    "RemoteManifest",
    "RemoteSettings",
    "Report",
    "Sink",
    "Source",
    "Stage",
]
