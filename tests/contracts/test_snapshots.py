"""What every snapshot store must do. A body takes part by a factory in STORES. On the real kernel."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator

import pytest

from sampan.errors import Conflict, NotFound
from sampan.kernel.roots import assembled
from sampan.oci.digest import digest_of
from sampan.store import overlay
from sampan.store.db import Database
from sampan.store.leases import Leases
from sampan.store.snapshots import Snapshots

pytestmark = pytest.mark.root


class OverlayStore:
    """Overlay directories with rows in SQLite, and how to look behind them."""

    def __init__(self, root):
        self.root = root
        self.open()

    def open(self, boot=None):
        self.database = Database(self.root / "db")
        self.leases = Leases(self.database)
        self.store = Snapshots(self.database, self.leases, self.root / "snapshots", boot)

    def reopen(self, boot=None):
        """A daemon that was killed and started again, perhaps after a boot."""
        self.store.close()
        self.database.close()
        self.open(boot)
        self.store.recover()

    def reclaim(self):
        gone = self.database.write_blocking(self.store.reclaim)
        self.store.sweep(gone)
        return gone

    def folders(self):
        """The snapshot folders that are there once the sweeping is done."""
        self.store._sweeper.submit(int).result()
        return sorted(name for name in os.listdir(self.root / "snapshots") if name != "empty")

    def close(self):
        self.store.close()
        self.database.close()


class OlderKernel(OverlayStore):
    """The same on a kernel whose fsconfig(2) does not know `lowerdir+`."""

    def __init__(self, root):
        super().__init__(root)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(overlay, "_TAKES_LOWER_BY_LOWER", False)

    def close(self):
        super().close()
        self.patch.undo()


STORES: dict[str, Callable] = {"overlay": OverlayStore, "overlay before 6.7": OlderKernel}


@pytest.fixture(params=sorted(STORES))
def body(request, tmp_path) -> Iterator[OverlayStore]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


def layer(body, name, parent=None, **files):
    draft = body.store.draft()
    for path, text in files.items():
        (draft.fs / path).write_text(text)
    size = sum(len(text) for text in files.values())
    return body.store.commit_layer(draft, digest_of(name.encode()), parent and parent.key, digest_of(b"d"), size)


def reference(body, *layers):
    """Rows of images that keep these layers."""
    for one in layers:
        row = (str(one.key), "m", "", 0, 0, one.key, b"{}")
        body.database.write_blocking(
            lambda rows, row=row: rows.execute("INSERT INTO images VALUES (?,?,?,?,?,?,?)", row)
        )


@pytest.fixture
def chain(body):
    bottom = layer(body, "1", a="one", b="one")
    top = layer(body, "2", bottom, b="two", c="two")
    reference(body, top)
    return [bottom.key, top.key]


def text(root, name):
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=root)) as file:
        return file.read()


def test_a_committed_layer_is_found_by_its_key(body):
    made = layer(body, "1", a="x")
    assert body.store.layer(made.key) == made
    assert (made.size, made.fs.joinpath("a").read_text()) == (1, "x")
    assert body.store.layers() == [made]
    assert body.store.layer(digest_of(b"absent")) is None


def test_a_draft_is_no_layer_and_can_be_discarded(body):
    draft = body.store.draft()
    assert body.store.layers() == []
    body.store.discard(draft)
    assert body.folders() == []


def test_the_same_layer_twice_is_one(body):
    first = layer(body, "1", a="x")
    assert layer(body, "1", a="x") == first
    assert body.folders() == [str(first.id)]


def test_a_layer_on_what_is_not_there_is_refused(body):
    with pytest.raises(NotFound):
        body.store.commit_layer(body.store.draft(), digest_of(b"x"), digest_of(b"absent"), digest_of(b"d"), 0)


async def test_a_container_sees_the_layers_merged_and_writes_its_own(body, chain):
    await body.store.prepare("c", chain)
    with body.store.view("c") as root:
        assert [text(root, name) for name in "abc"] == ["one", "two", "two"]
        os.unlink("a", dir_fd=root)
        os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=root))
    with body.store.view("c") as root:
        assert "a" not in os.listdir(root)
        assert "new" in os.listdir(root)
    await body.store.prepare("other", chain)
    with body.store.view("other") as root:
        assert "a" in os.listdir(root)
    assert sorted(os.listdir(body.store.upper("c"))) == ["a", "new"]


async def test_mount_points_are_there_and_no_change_of_the_container(body, chain):
    await body.store.prepare("c", chain)
    with body.store.view("c") as root:
        for path in ("dev/pts", "dev/shm", "proc", "sys"):
            assert stat.S_ISDIR(os.stat(path, dir_fd=root).st_mode)
        for path in (".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf"):
            info = os.stat(path, dir_fd=root, follow_symlinks=False)
            assert (stat.filemode(info.st_mode), info.st_size) == ("-rwxr-xr-x", 0)
        assert os.readlink("etc/mtab", dir_fd=root) == "/proc/mounts"
    assert os.listdir(body.store.upper("c")) == []
    assert body.store.usage("c").size == 0


async def test_mount_points_are_never_made_through_an_images_links(body, tmp_path):
    draft = body.store.draft()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "hosts").write_text("host's")
    for name in ("etc", "proc", "dev"):
        (draft.fs / name).symlink_to(outside)
    evil = body.store.commit_layer(draft, digest_of(b"evil"), None, digest_of(b"d"), 0)
    await body.store.prepare("c", [evil.key])
    assert os.listdir(outside) == ["hosts"]
    assert (outside / "hosts").read_text() == "host's"
    with body.store.view("c") as root:
        assert stat.S_ISDIR(os.stat("etc", dir_fd=root, follow_symlinks=False).st_mode)


async def test_an_images_own_files_stand_where_no_mount_point_is_needed(body):
    draft = body.store.draft()
    (draft.fs / "etc").mkdir()
    (draft.fs / "etc/hosts").write_text("image's")
    (draft.fs / "etc/passwd").write_text("root")
    made = body.store.commit_layer(draft, digest_of(b"x"), None, digest_of(b"d"), 0)
    await body.store.prepare("c", [made.key])
    with body.store.view("c") as root:
        assert text(root, "etc/hosts") == ""
        assert text(root, "etc/passwd") == "root"


async def test_an_image_of_no_layers(body):
    await body.store.prepare("c", [])
    with body.store.view("c") as root:
        assert ".dockerenv" in os.listdir(root)
    with body.store.view_layers(None) as root:
        assert os.listdir(root) == []


async def test_views_of_layers_can_not_be_written(body, chain):
    for top in chain:
        with body.store.view_layers(top) as root, pytest.raises(OSError, match="Read-only"):
            os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=root)


async def test_readers_see_the_changes_and_can_be_many(body, chain):
    await body.store.prepare("c", chain)
    with body.store.view("c") as root:
        with os.fdopen(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=root), "w") as file:
            file.write("mine")
        os.unlink("a", dir_fd=root)
    with body.store.view_reading("c") as root, body.store.view_reading("c") as other:
        assert (text(root, "new"), text(other, "new"), text(root, "b")) == ("mine", "mine", "two")
        assert "a" not in os.listdir(root)
        with pytest.raises(OSError, match="Read-only"):
            os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=root)
    with body.store.view_changes("c") as changes:
        assert sorted(os.listdir(changes)) == ["a", "new"]


async def test_what_is_looked_into_is_swept_afterwards(body, chain):
    await body.store.prepare("c", chain)
    body.database.write_blocking(lambda rows: rows.execute("DELETE FROM images"))
    with body.store.view_reading("c") as root:
        with body.store.view_layers(chain[-1]):
            await body.store.remove("c")
            assert body.store.layers() == []
        with pytest.raises(NotFound), body.store.view_reading("c"):
            pass
        assert len(body.folders()) == 4
        assert (text(root, "a"), text(root, "b")) == ("one", "two")
    assert body.folders() == []


async def test_a_view_can_be_attached_where_nobody_sees_it(body, chain, tmp_path):
    await body.store.prepare("c", chain)
    place = tmp_path / "place"
    place.mkdir()
    with body.store.view("c") as root, assembled(root, [], str(place)) as attached:
        assert text(attached, "a") == "one"
        assert os.listdir(place) == []


async def test_a_view_leaves_no_mount_and_no_descriptor(body, chain):
    await body.store.prepare("c", chain)
    with open("/proc/self/mountinfo") as file:  # noqa: ASYNC230, PTH123
        before = file.read()
    descriptors = len(os.listdir("/proc/self/fd"))
    with body.store.view("c"), open("/proc/self/mountinfo") as file:  # noqa: ASYNC230, PTH123
        assert file.read() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_mounts_are_data_that_fits_a_page(body):
    parent = None
    chain = []
    for number in range(125):
        parent = layer(body, str(number), parent, a=str(number))
        chain.append(parent.key)
    await body.store.prepare("c", chain)
    data = body.store.mounts("c")
    assert len(data.data) < 4096
    assert all((data.folder / path).is_dir() for path in (*data.lower, data.upper, data.work))
    with body.store.view("c") as root:
        assert text(root, "a") == "124"


async def test_a_key_is_taken_once(body, chain):
    await body.store.prepare("c", chain)
    with pytest.raises(Conflict, match="already exists"):
        await body.store.prepare("c", chain)


async def test_what_is_not_there_is_not_found(body):
    with pytest.raises(NotFound):
        body.store.mounts("absent")
    with pytest.raises(NotFound):
        await body.store.prepare("c", [digest_of(b"absent")])
    await body.store.remove("absent")


async def test_many_containers_at_once_share_one_beginning(body, chain):
    await asyncio.gather(*(body.store.prepare(f"c{n}", chain) for n in range(20)))
    assert len(body.store.active_keys()) == 20
    assert len({body.store.mounts(f"c{n}").lower for n in range(20)}) == 1
    assert len(body.folders()) == 20 + 1 + 2


async def test_removing_takes_the_bytes_too(body, chain):
    await body.store.prepare("c", chain)
    (body.store.upper("c") / "big").write_bytes(bytes(1000))
    assert body.store.usage("c").size == 1000
    before = len(body.folders())
    await body.store.remove("c")
    await body.store.remove("c")
    assert body.store.active_keys() == []
    assert len(body.folders()) == before - 1


async def test_layers_go_with_the_last_that_stands_on_them(body, chain):
    await body.store.prepare("c", chain)
    assert body.reclaim() == []
    body.database.write_blocking(lambda rows: rows.execute("DELETE FROM images"))
    assert body.reclaim() == []
    await body.store.remove("c")
    assert body.store.layers() == []
    assert body.folders() == []


async def test_a_lease_spares_layers_that_nothing_stands_on_yet(body):
    with body.leases.hold() as lease:
        made = layer(body, "1", a="x")
        lease.keep(made.key)
        assert body.reclaim() == []
    assert [one.key for one in body.reclaim()] == [made.key]


async def test_after_a_crash_only_what_was_committed_is_left(body, chain):
    body.store.draft()
    await body.store.prepare("c", chain)
    (body.root / "snapshots/999").mkdir()
    layer(body, "loose")
    body.reopen()
    assert body.store.active_keys() == ["c"]
    assert [one.key for one in body.store.layers()] == chain
    assert len(body.folders()) == 4
    with body.store.view("c") as root:
        assert text(root, "b") == "two"


async def test_a_boot_makes_unsettled_layers_doubtful(body, chain):
    assert body.store.unsettled() == []
    body.reopen("another boot")
    assert [one.key for one in body.store.unsettled()] == chain
    doubtful = body.store.unsettled()[0]
    draft = body.store.draft()
    (draft.fs / "a").write_text("again")
    body.store.remake(doubtful, draft)
    assert (body.store.layer(chain[0]).fs / "a").read_text() == "again"
    assert [one.key for one in body.store.unsettled()] == chain[1:]


async def test_settled_layers_survive_a_boot(body, chain):
    await body.store.prepare("c", chain)
    body.store.settle()
    body.reopen("another boot")
    assert body.store.unsettled() == []


async def test_layers_without_their_directory_are_doubtful_and_beginnings_made_again(body, chain):
    import shutil

    await body.store.prepare("c", chain)
    body.store.settle()
    data = body.store.mounts("c")
    shutil.rmtree((data.folder / data.lower[0]).parent)
    shutil.rmtree(body.store.layer(chain[1]).fs.parent)
    body.reopen()
    assert [one.key for one in body.store.unsettled()] == chain[1:]
    body.store.remake(body.store.unsettled()[0], body.store.draft())
    body.store.remake_inits()
    with body.store.view("c") as root:
        assert "proc" in os.listdir(root)
