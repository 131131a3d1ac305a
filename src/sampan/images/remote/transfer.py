"""One blob from here to there, over connections that may break: downloads and uploads that go on where they were.

download   offset = writer.offset -> Range -> bytes -> (broken: again from the new offset) -> commit: verified
upload     there? -> mounted? -> session -> bytes -> (broken: ask how far it came, go on) -> end
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sampan.errors import Conflict, NotFound, SampanError, Upstream
from sampan.images.remote.client import RegistryClient, UploadPlace
from sampan.images.remote.connection import pause
from sampan.images.remote.failures import Broken
from sampan.images.remote.settings import RemoteSettings
from sampan.images.remote.sides import BlobWriter, Report, Source
from sampan.oci.digest import Digest
from sampan.oci.documents import Descriptor

__all__ = ["download", "upload"]

_MOST_ORIGINS = 4
"""Repositories that a blob is tried to be mounted from."""


async def download(
    client: RegistryClient, settings: RemoteSettings, layer: Descriptor, writer: BlobWriter, report: Report
) -> None:
    """Fill a writer and commit it. Raises DataLoss, Broken when no try brings it further, and others."""
    report(layer, "started", writer.offset)
    failed = 0
    try:
        while writer.offset < layer.size:
            before = writer.offset
            try:
                await _fetch(client, layer, writer, report)
            except Broken as error:
                failed = 0 if writer.offset > before else failed + 1
                if failed >= settings.attempts:
                    raise Broken(f"{layer.digest}, at {writer.offset} of {layer.size} bytes: {error}") from None
                report(layer, "retrying", writer.offset)
                await pause(settings, failed, error)
        report(layer, "verifying", layer.size)
        await writer.commit()
    except BaseException:
        await writer.abort()
        raise
    report(layer, "complete", layer.size)


async def _fetch(client: RegistryClient, layer: Descriptor, writer: BlobWriter, report: Report) -> None:
    async with client.open_blob(layer.digest, writer.offset) as (pieces, start):
        known = writer.offset - start
        async for piece in pieces:
            if known:
                skipped = min(known, len(piece))
                known -= skipped
                piece = piece[skipped:]
            if writer.offset + len(piece) > layer.size:
                raise Upstream(f"the registry sent more than the {layer.size} bytes of {layer.digest}")
            if piece:
                await writer.write(piece)
                report(layer, "bytes", writer.offset)
    if writer.offset < layer.size:
        raise Broken(f"{layer.digest} ended after {writer.offset} of {layer.size} bytes")


async def upload(
    client: RegistryClient, settings: RemoteSettings, blob: Descriptor, source: Source, report: Report
) -> None:
    """Send a blob unless the registry has it or can mount it. Raises Broken when no try brings it further."""
    if await client.blob_size(blob.digest, writing=True) is not None:
        report(blob, "exists", blob.size)
        return
    place = await _place(client, blob, source)
    if isinstance(place, str):
        report(blob, "mounted", blob.size, place)
        return
    await _Sending(client, settings, blob, source, report).run(place)
    report(blob, "complete", blob.size)


async def _place(client: RegistryClient, blob: Descriptor, source: Source) -> UploadPlace | str:
    """Where to send a blob, or the repository from which it was mounted ("" when it was there after all)."""
    for origin in source.origins(Digest(blob.digest))[:_MOST_ORIGINS]:
        try:
            place = await client.begin_upload(blob.digest, origin)
        except Broken:
            raise
        except SampanError:
            continue  # The registry may refuse to show us the other repository; then the bytes are sent.
        if place is None:
            return origin
        await client.cancel_upload(place)
    return await client.begin_upload(blob.digest) or ""


class _Sending:
    """One upload until it is through."""

    def __init__(
        self, client: RegistryClient, settings: RemoteSettings, blob: Descriptor, source: Source, report: Report
    ) -> None:
        self._client, self._settings, self._blob = client, settings, blob
        self._source, self._report = source, report
        self._furthest = 0

    async def run(self, place: UploadPlace) -> None:
        self._report(self._blob, "started", 0)
        failed = 0
        resumed = False
        while True:
            before = self._furthest
            try:
                place = await self._send_all(place, resumed)
                await self._client.end_upload(place, self._blob.digest)
                return
            except Broken as error:
                failed = 0 if self._furthest > before else failed + 1
                if failed >= self._settings.attempts:
                    raise
                await pause(self._settings, failed, error)
            except (Conflict, NotFound):
                failed += 1
                if failed >= self._settings.attempts:
                    raise
                place = UploadPlace("")
            place, resumed = await self._where(place)
            self._report(self._blob, "retrying", place.offset)

    async def _where(self, place: UploadPlace) -> tuple[UploadPlace, bool]:
        """Where the upload stands, or a new one when the registry does not know it any more."""
        try:
            if place.url:
                found = await self._client.upload_status(place)
                if found.offset:
                    self._furthest = max(self._furthest, found.offset)
                    return found, True
        except SampanError:
            pass  # Some registries can't tell: begin again.
        begun = await self._client.begin_upload(self._blob.digest)
        if begun is None:
            raise Upstream("the registry mounted a blob where an upload was asked for")
        return begun, False

    async def _send_all(self, place: UploadPlace, resumed: bool) -> UploadPlace:
        size, chunk = self._blob.size, self._settings.chunk_size
        while place.offset < size or size == 0:
            length = min(size - place.offset, chunk or size)
            ranged = resumed or chunk is not None
            place = await self._client.send(place, self._body(place.offset, length), length, ranged)
            if size == 0:
                break
        return place

    def _body(self, offset: int, length: int) -> Callable[[], AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            done = offset
            async for piece in self._source.read(self._blob, offset):
                piece = piece[: offset + length - done]
                if not piece:
                    return
                done += len(piece)
                yield piece
                self._report(self._blob, "bytes", done)

        return pieces
