"""Pulling: from a tag or digest to everything that makes the image.

    manifest -> index? choose the platform's -> config (a document) + layers (side by side) -> Pulled

Documents go to the sink as they came, byte for byte; layers go to its writers while later ones still download.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sampan.errors import Denied, InvalidArgument, NotFound, Unauthenticated
from sampan.images.remote.client import RegistryClient, RemoteManifest
from sampan.images.remote.push import MOST_NESTED
from sampan.images.remote.settings import RemoteSettings
from sampan.images.remote.sides import Report, Sink, silent
from sampan.images.remote.transfer import download
from sampan.oci import mediatypes
from sampan.oci.digest import parse_digest
from sampan.oci.documents import Descriptor, Index, Manifest, is_index, parse
from sampan.oci.platform import Platform

__all__ = ["Pulled", "Puller"]

CONFIG_LIMIT = 16 << 20


@dataclass(frozen=True)
class Pulled:
    """What a pull brought. `target` is what the reference named: an index, or the manifest itself."""

    target: RemoteManifest
    above: tuple[RemoteManifest, ...]
    """The indexes that lead to the manifest, outermost first."""
    manifest: RemoteManifest
    document: Manifest
    config: bytes

    @property
    def layers(self) -> list[Descriptor]:
        """Descriptors of the layers, bottom first."""
        return self.document.layers


class Puller:
    """Pulls from one repository into one sink."""

    def __init__(
        self,
        client: RegistryClient,
        sink: Sink,
        report: Report = silent,
        settings: RemoteSettings | None = None,
    ) -> None:
        self._client = client
        self._sink = sink
        self._report = report
        self._settings = settings or RemoteSettings()

    async def pull(self, reference: str, platform: Platform, exact: bool = False) -> Pulled:
        """Pull a tag or digest, of an index the image for `platform`; with `exact` no other that it could run.

        Raises NotFound, Denied, Unavailable, DataLoss and others; layers that were begun go on at the next try.
        """
        target = await self.resolve(reference)
        above, manifest = await self._choose(target, platform, exact)
        document = _image(manifest)
        config = await self._config(document.config)
        for found in (*above, manifest):
            await self._sink.put(_described(found), found.content)
        await self._download_all(document.layers)
        return Pulled(target, tuple(above), manifest, document, config)

    async def resolve(self, reference: str) -> RemoteManifest:
        """The manifest or index that a reference names, in docker's words where there is none."""
        name = self._client.reference.familiar_name
        joint = "@" if ":" in reference else ":"
        try:
            return await self._client.manifest(reference)
        except (Denied, Unauthenticated) as error:
            raise NotFound(
                f"pull access denied for {name}, repository does not exist or may require 'docker login': "
                f"{_reason(error)}"
            ) from None
        except NotFound as error:
            raise NotFound(f"manifest for {name}{joint}{reference} not found: {_reason(error)}") from None

    async def _choose(
        self, target: RemoteManifest, platform: Platform, exact: bool
    ) -> tuple[list[RemoteManifest], RemoteManifest]:
        above: list[RemoteManifest] = []
        found = target
        while is_index(found.content, found.media_type):
            if len(above) >= MOST_NESTED:
                raise InvalidArgument("the index nests too deeply")
            above.append(found)
            chosen = choose(parse(found.content, Index, "index"), platform, exact)
            found = await self._client.manifest(chosen.digest)
        return above, found

    async def _config(self, descriptor: Descriptor) -> bytes:
        content = await self._client.blob(descriptor.digest, CONFIG_LIMIT)
        await self._sink.put(descriptor, content)
        return content

    async def _download_all(self, layers: list[Descriptor]) -> None:
        """Each distinct layer once, so many at a time; when one fails the others stop, to go on another day."""
        free = asyncio.Semaphore(self._settings.downloads)
        distinct = list({layer.digest: layer for layer in layers}.values())
        for layer in distinct:
            self._report(layer, "waiting", 0)
        try:
            async with asyncio.TaskGroup() as group:
                for layer in distinct:
                    group.create_task(self._layer(layer, free))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _layer(self, layer: Descriptor, free: asyncio.Semaphore) -> None:
        if await self._sink.has(layer):
            self._report(layer, "exists", layer.size)
            return
        if free.locked():
            self._report(layer, "queued", 0)
        async with free:
            writer = await self._sink.begin(layer)
            if writer is None:
                self._report(layer, "exists", layer.size)
            else:
                await download(self._client, self._settings, layer, writer, self._report)


def choose(index: Index, wanted: Platform, exact: bool) -> Descriptor:
    """The entry for a platform: the best fitting one, the first where several fit alike. Raises NotFound."""
    ranked = []
    for place, entry in enumerate(index.manifests):
        rank = _rank(entry, wanted, exact)
        if rank is not None:
            ranked.append((rank, place))
    if not ranked:
        raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
    return index.manifests[min(ranked)[1]]


def _rank(entry: Descriptor, wanted: Platform, exact: bool) -> int | None:
    if entry.media_type not in mediatypes.MANIFESTS | mediatypes.INDEXES:
        return None
    if entry.platform is None:
        return 1000
    platform = Platform.of(entry.platform.os, entry.platform.architecture, entry.platform.variant)
    if exact and not platform.matches(wanted):
        return None
    return platform.rank(wanted)


def _image(found: RemoteManifest) -> Manifest:
    if found.media_type.startswith("application/vnd.docker.distribution.manifest.v1"):
        raise InvalidArgument(
            "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported: ask the image's "
            "owner to push it again as schema 2 or OCI"
        )
    document = parse(found.content, Manifest, "manifest")
    if document.config.media_type not in mediatypes.CONFIGS:
        raise InvalidArgument(
            f"Encountered remote {found.media_type!r} with config {document.config.media_type!r}: this is no image"
        )
    for entry in (document.config, *document.layers):
        parse_digest(entry.digest)
        if entry.size < 0:
            raise InvalidArgument(f"invalid manifest: {entry.digest} has {entry.size} bytes")
    return document


def _described(found: RemoteManifest) -> Descriptor:
    return Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content))


def _reason(error: Exception) -> str:
    """The registry's own words, without what we put before them."""
    return str(error).partition(": ")[2] or str(error)
