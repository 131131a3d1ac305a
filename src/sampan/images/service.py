"""Images as the engine and the API use them: one verb, one method.

Reading is immediate and takes no lock. What blocks (archives, tar, disk) runs in worker threads. What answers with
lines (load, import) or bytes (save) is an asynchronous iterator; when its reader goes away, the work ends.

Worked use:

    images = Images(database, paths, events, users)
    await asyncio.to_thread(images.recover)
    async for line in images.load(body.read): ...
    image = images.resolve("busybox")
    await images.prepare(image.id, container_id)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError
from sampan.images import progress
from sampan.images.bridge import Inlet, Read, lines_of, pumping
from sampan.images.catalog import Catalog, Image, NewImage
from sampan.images.changes import apply_changes
from sampan.images.commit import CommitRequest, ImportRequest, adopt, commit
from sampan.images.diff import Change, changes
from sampan.images.library import Library
from sampan.images.load import Loaded, Loader
from sampan.images.making import Maker
from sampan.images.register import Events, Registrar
from sampan.images.removal import Remover, Users
from sampan.images.save import Plan, choose, plan, written
from sampan.images.selecting import Filters, prunable
from sampan.images.unpacker import Unpacker
from sampan.oci.digest import Digest
from sampan.oci.documents import RunConfig
from sampan.oci.platform import Platform
from sampan.oci.reference import Reference, parse_any
from sampan.store.collect import Collector
from sampan.store.content import ContentStore
from sampan.store.db import Database
from sampan.store.files import full_disk_told
from sampan.store.leases import Lease, Leases
from sampan.store.paths import DataPaths
from sampan.store.snapshots import Layer, Snapshots
from sampan.wire.images import DeleteItem, PruneReport

if TYPE_CHECKING:
    from sampan.images.remote import Remote
    from sampan.images.transfers import Transfers

__all__ = ["Images"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_PIECE = 1 << 20
_SETTLE_AFTER = 35.0
_PULLING = 12
"""Layers that may arrive at a time, each with a worker that unpacks it."""


class Images(Library):
    """The images of one data root. Owns its content store and snapshots (`content`, `snapshots`, `leases`)."""

    def __init__(self, database: Database, paths: DataPaths, events: Events, users: Users) -> None:
        self.leases = Leases(database)
        content = ContentStore(database, paths.blobs, paths.ingest)
        super().__init__(Catalog(database), content, Snapshots(database, self.leases, paths.snapshots), users)
        self.unpacker = Unpacker(self.content, self.snapshots)
        # Pulls have workers of their own: those wait for registries, and nobody should wait for them.
        self._pulling = Unpacker(self.content, self.snapshots, _PULLING)
        self.maker = Maker(self.content, self.unpacker)
        self.registrar = Registrar(database)
        self.collector = Collector(database, self.content, self.snapshots, self.leases)
        self._events = events
        self._threads = ThreadPoolExecutor(8, "images")
        self._settling: asyncio.TimerHandle | None = None

    def transfers(self, remote: Remote) -> Transfers:
        """Pulls and pushes by way of `remote`. Its module is loaded here: it brings an HTTP client along."""
        from sampan.images.transfers import Transfers

        return Transfers(
            catalog=self.catalog,
            content=self.content,
            leases=self.leases,
            unpacker=self._pulling,
            registrar=self.registrar,
            threads=self._threads,
            remote=remote,
            settle_later=self._settle_later,
            collect=self.collector.run,
        )

    # Containers' snapshots

    async def prepare(self, image_id: str, key: str) -> None:
        """Make the snapshot of the container `key`. An image that was not unpacked yet is unpacked first."""
        image = self.existing(image_id)
        if image.top is not None and self.snapshots.layer(image.top) is None:
            await asyncio.to_thread(self._unpack, image)
        await self.snapshots.prepare(key, image.chain_ids)

    async def discard(self, key: str) -> None:
        """Remove a container's snapshot, and the layers that only it kept."""
        await self.snapshots.remove(key)

    async def forget_snapshots(self, keep: set[str]) -> None:
        """Remove the snapshots of all containers but these."""
        for key in self.snapshots.active_keys():
            if key not in keep:
                await self.snapshots.remove(key)

    # Changing

    async def tag(self, ref: str, repository: str, tag: str = "") -> None:
        """Give an image a further name. Raises InvalidArgument, NotFound."""
        name = tag_reference(repository, tag)
        image = self.resolve(ref)
        target = self._target(ref, image)
        await self._in_thread(self.registrar.tag, image.id, target, name)
        self.emit(image, "tag", name.familiar)

    async def remove(
        self, ref: str, force: bool = False, prune: bool = True, platforms: Sequence[Platform] = ()
    ) -> Sequence[DeleteItem]:
        """Remove a name, an image or some of its platforms by docker's rules (sampan.images.removal).

        Raises NotFound, Conflict, InvalidArgument for some of several platforms without force.
        """
        image = self.resolve(ref)
        remover = self._remover()
        there = self.platforms(ref)
        chosen = {one.id: one for one in (self._of_platform(ref, there, platform) for platform in platforms)}
        if not chosen or len(chosen) == len(there):
            await remover.remove(ref, image, force, prune)
        elif not force:
            raise InvalidArgument(
                "Content will be removed from all images referencing this variant. Use --force to force delete."
            )
        else:
            await remover.remove_platforms(list(chosen.values()))
        return remover.items

    def _of_platform(self, ref: str, there: Sequence[Image], platform: Platform) -> Image:
        found = next((image for image in there if image.platform.matches(platform)), None)
        if found is None:
            raise NotFound(
                f"image with reference {ref} was found but does not provide the specified platform ({platform})"
            )
        return found

    def load(self, read: Read, platform: Platform | None = None, quiet: bool = False) -> AsyncIterator[bytes]:
        """Load an archive of images (docker's or an OCI layout, compressed or not); docker's lines, errors too."""
        inlet, loop = Inlet(read), asyncio.get_running_loop()

        def work(report: Callable[[bytes], None]) -> None:
            def loaded(one: Loaded) -> None:
                for line in _loaded_lines(one):
                    report(line)
                loop.call_soon_threadsafe(self._loaded, one.image)

            def advanced(layer: str, current: int, total: int) -> None:
                if not quiet:
                    report(progress.advance("Loading layer", layer, current, total))

            with self._work() as lease:
                Loader(self.content, self.unpacker, self.registrar, platform).run(inlet.more, lease, advanced, loaded)

        self._settle_later()
        return lines_of(self._threads, work, progress.failed, inlet)

    async def save(self, refs: Sequence[str], platforms: Sequence[Platform] = ()) -> AsyncIterator[bytes]:
        """An archive of images (docker's and an OCI layout in one). A repository without tag means all of its tags.

        Raises InvalidArgument and NotFound at once, before the first byte.
        """
        wanted = choose(self, refs, platforms)
        made = await self._in_thread(plan, wanted, self.content)
        return self._saved([one.image for one in wanted], made)

    async def import_(
        self,
        read: Read,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> bytes:
        """A tar of a root file system becomes an image; docker's one line. Raises InvalidArgument."""
        name = tag_reference(repository, tag) if repository else None
        wanted = Platform.parse(platform) if platform else Platform.host()
        if wanted.os != Platform.host().os:
            raise InvalidArgument("operating system is not supported")
        request = ImportRequest(apply_changes(RunConfig(), changes), wanted, message)
        inlet = Inlet(read)
        async with pumping(inlet):
            image = await self._in_thread(self._import, inlet, request, name)
        self._settle_later()
        if name is not None:
            self._events.emit("image", "tag", image.id, {"name": name.familiar})
        self._events.emit("image", "import", image.id, {"name": image.id})
        return progress.status(image.id)

    async def commit(self, request: CommitRequest, image_id: str, repository: str = "", tag: str = "") -> Digest:
        """An image of a container's changes on its image; its id. Raises InvalidArgument, NotFound."""
        name = tag_reference(repository, tag) if repository else None
        request = replace(request, run=apply_changes(request.run, request.changes))
        base = self.existing(image_id)
        image = await self._in_thread(self._commit, request, base, name)
        self._settle_later()
        labels = request.run.labels or {}
        self._events.emit("image", "create", image.id, {**labels, "name": image.id})
        if name is not None:
            self._events.emit("image", "tag", image.id, {**labels, "name": name.familiar})
        return image.id

    def changes(self, key: str) -> Sequence[Change]:
        """What a container changed in its root. Blocks: call it in a thread."""
        with self.snapshots.view_changes(key) as upper, self.snapshots.view_beginning(key) as lower:
            return changes(upper, lower)

    async def prune(self, filters: Filters | None = None) -> PruneReport:
        """Remove images that no container uses: untagged ones, or with `dangling=false` all. Raises InvalidArgument."""
        wanted = prunable(self.catalog.all(), filters or {}, self.catalog.hidden())
        report = PruneReport()
        for image in wanted:
            await self._prune_one(image, report)
        await self._in_thread(self.collector.run)
        self._events.emit("image", "prune", "", {"reclaimed": str(report.space_reclaimed)})
        return report

    # Life

    def recover(self) -> None:
        """At start, before anything else: finish or undo what a crash left. Blocks.

        Layers that a power cut may have damaged are unpacked again.
        """
        self.content.recover()
        self.snapshots.recover()
        self.collector.run()
        damaged = {layer.key: layer for layer in self.snapshots.unsettled()}
        for image in self.catalog.all() if damaged else ():
            try:
                self._repair(image, damaged)
            except SampanError as error:
                log.warning("image %s has damaged layers that can't be unpacked again: %s", image.short_id, error)
        self.snapshots.remake_inits()

    def _repair(self, image: Image, damaged: dict[Digest, Layer]) -> None:
        places = [place for place, key in enumerate(image.chain_ids) if key in damaged]
        blobs = self.layer_blobs(image) if places else ()
        for place in places:
            parent = image.chain_ids[place - 1] if place else None
            self.unpacker.remake(damaged.pop(image.chain_ids[place]), blobs[place], parent)

    def _settle_later(self) -> None:
        """See that unpacked layers are on the disk, once the kernel has written most of them by itself."""
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(_SETTLE_AFTER, self._settle, loop)

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        self._settling = None
        loop.run_in_executor(self._threads, self.snapshots.settle)

    def close(self) -> None:
        """Finish what runs. No call may follow."""
        if self._settling is not None:
            self._settling.cancel()
        self._threads.shutdown(wait=True)
        self.unpacker.close()
        self._pulling.close()
        self.snapshots.close()
        self.collector.close()

    def emit(self, image: Image, action: str, name: str, actor: str = "") -> None:
        """An event of an image (or of `actor`), with its labels and the name it was called by."""
        self._events.emit("image", action, actor or image.id, {**(image.config.run.labels or {}), "name": name})

    def _loaded(self, identity: str) -> None:
        with suppress(NotFound):
            self.emit(self.resolve(identity), "load", identity)

    def _commit(self, request: CommitRequest, base: Image, name: Reference | None) -> NewImage:
        with self._work() as lease, self.snapshots.view_changes(request.key) as upper:
            image = commit(request, base, self.manifest(base).layers, upper, self.maker, lease)
            self.registrar.register([image], image, image.manifest, [name] if name else [], tagged=name is not None)
        if image.top == base.top:
            # Nothing had changed: the blob of the empty layer is nobody's.
            self.collector.run()
        return image

    def _remover(self) -> Remover:
        return Remover(
            self.catalog, lambda change: self._in_thread(self.collector.run, change), self.users, self._events
        )

    async def _prune_one(self, image: Image, report: PruneReport) -> None:
        sizes = {layer.key: layer.size for layer in self.snapshots.layers()}
        remover = self._remover()
        for ref in [reference.familiar for reference in image.references] or [image.id]:
            try:
                await remover.remove(ref, self.resolve(ref), force=False, prune=True)
            except (Conflict, NotFound):
                # In use, or gone meanwhile.
                continue
        report.images_deleted = [*(report.images_deleted or []), *remover.items] or None
        report.space_reclaimed += sum(sizes.get(Digest(item.deleted), 0) for item in remover.items)

    def _import(self, inlet: Inlet, request: ImportRequest, name: Reference | None) -> NewImage:
        with self._work() as lease:
            image = adopt(request, inlet.more, self.maker, lease)
            self.registrar.register([image], image, image.manifest, [name] if name else [], tagged=name is not None)
        return image

    async def _saved(self, images: Sequence[Image], made: Plan) -> AsyncIterator[bytes]:
        chunks = written(made, self.content)
        loop = asyncio.get_running_loop()
        while chunk := await loop.run_in_executor(self._threads, _gather, chunks):
            yield chunk
        for image in images:
            self.emit(image, "save", image.id)

    def _target(self, ref: str, image: Image) -> Digest:
        parsed = parse_any(ref)
        target = None if isinstance(parsed, str) else self.catalog.target(parsed.key())
        return target or image.manifest

    @contextmanager
    def _work(self) -> Iterator[Lease]:
        """A lease for a piece of work in a thread; what it leaves when it fails is collected at once."""
        try:
            with self.leases.hold() as lease, full_disk_told("storing an image"):
                yield lease
        except BaseException:
            self.collector.run()
            raise

    def _unpack(self, image: Image) -> None:
        with self._work() as lease:
            self.unpacker.finish(image.config, self.layer_blobs(image), {}, lease)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _gather(chunks: Iterator[bytes]) -> bytes:
    """The next chunks, as many as make a piece that is worth a hop between threads."""
    parts: list[bytes] = []
    size = 0
    while size < _PIECE and (chunk := next(chunks, None)) is not None:
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def _loaded_lines(one: Loaded) -> Sequence[bytes]:
    texts = [
        f"The image {name.familiar} already exists, renaming the old one with ID {old} to empty string\n"
        for name, old in one.replaced.items()
    ]
    texts += [f"Loaded image: {name.familiar}\n" for name in one.names]
    if not one.names:
        texts.append(f"Loaded image ID: {one.image}\n")
    return [progress.stream(text) for text in texts]


def tag_reference(repository: str, tag: str) -> Reference:
    """The name that `repository` and `tag` make. Raises InvalidArgument."""
    reference = Reference.parse(repository)
    if reference.digest is not None:
        raise InvalidArgument("cannot import digest reference")
    if tag:
        reference = reference.with_tag(tag)
    if reference.familiar_name == "sha256":
        raise InvalidArgument("refusing to create an ambiguous tag using digest algorithm as name")
    return reference.with_default_tag()
