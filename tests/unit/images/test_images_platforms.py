"""Removing some platforms of a multi-platform image."""

from __future__ import annotations

import pytest
from images_kit import HOST, Kit, Layout, User, members, tar

from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.oci.platform import Platform

pytestmark = pytest.mark.root

OTHERS = [name for name in ("amd64", "arm64", "s390x") if name != HOST][:2]
ALL = [HOST, *OTHERS]


def platforms(*architectures):
    return [Platform.of("linux", architecture) for architecture in architectures]


@pytest.fixture
async def kit(tmp_path):
    opened = Kit(tmp_path)
    opened.archive = archive()
    await opened.load(opened.archive)
    opened.events.clear()
    yield opened
    opened.close()


def archive():
    layout = Layout()
    index = layout.nested(*(layout.image([tar((name, b"only here"))], name) for name in reversed(ALL)))
    layout.name(index, "app:1", "app:2")
    return layout.archive()


def there(kit, ref="app:1"):
    return sorted(image.platform.architecture for image in kit.images.platforms(ref))


async def test_one_goes_and_the_others_stay(kit):
    gone = kit.images.resolve("app:1", f"linux/{OTHERS[0]}")
    before = set(kit.left()[0])
    items = await kit.images.remove("app:1", force=True, platforms=platforms(OTHERS[0]))
    assert [item.deleted for item in items] == [gone.id]
    assert [(action, actor) for action, actor, _ in kit.events] == [("delete", gone.id)]
    assert there(kit) == there(kit, "app:2") == sorted([HOST, OTHERS[1]])
    assert kit.images.resolve("app:1").platform.architecture == HOST
    assert len(before - set(kit.left()[0])) == 3  # config, manifest, layer
    assert (await kit.save("app:1")) != b""
    with pytest.raises(NotFound):
        kit.images.resolve("app:1", f"linux/{OTHERS[0]}")
    kit.reopen()
    assert there(kit) == sorted([HOST, OTHERS[1]])
    await kit.load(kit.archive)
    assert there(kit) == sorted(ALL)


async def test_a_name_stands_for_what_is_left(kit):
    await kit.images.remove("app:1", force=True, platforms=platforms(HOST, OTHERS[0]))
    assert [row.repo_tags for row in kit.images.list()] == [["app:1", "app:2"]]
    assert kit.images.resolve("app:2").platform.architecture == OTHERS[1]
    saved = members(await kit.save("app:1"))
    assert "index.json" in saved
    await kit.images.remove("app:1")
    await kit.images.remove("app:2")
    assert kit.left() == ([], [], [])


async def test_all_that_are_there_are_the_image(kit):
    await kit.images.remove("app:1", platforms=platforms(*ALL))
    assert [row.repo_tags for row in kit.images.list()] == [["app:2"]]
    await kit.images.remove("app:2", platforms=platforms(*OTHERS), force=True)
    items = await kit.images.remove("app:2", platforms=platforms(HOST))
    assert items[0].untagged == "app:2"
    assert kit.left() == ([], [], [])


async def test_a_name_of_its_own_goes_with_its_platform(kit):
    other = kit.images.resolve("app:1", f"linux/{OTHERS[0]}")
    await kit.images.tag(other.id, "alone")
    items = await kit.images.remove("app:1", force=True, platforms=platforms(OTHERS[0]))
    assert [item.untagged or item.deleted for item in items] == ["alone:latest", other.id]
    assert there(kit) == sorted([HOST, OTHERS[1]])


async def test_some_of_several_need_force(kit):
    with pytest.raises(InvalidArgument, match="Use --force to force delete"):
        await kit.images.remove("app:1", platforms=platforms(OTHERS[0]))
    assert there(kit) == sorted(ALL)


@pytest.mark.parametrize("wanted", [["ppc64le"], [OTHERS[0], "ppc64le"]])
async def test_a_platform_that_is_not_there(kit, wanted):
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/ppc64le\)"):
        await kit.images.remove("app:1", force=True, platforms=platforms(*wanted))
    assert there(kit) == sorted(ALL)


async def test_a_running_container_keeps_its_platform(kit):
    used = kit.images.resolve("app:1", f"linux/{OTHERS[0]}")
    kit.users[used.id] = [User("c" * 64, running=True)]
    with pytest.raises(Conflict, match="is being used by running container"):
        await kit.images.remove("app:1", force=True, platforms=platforms(*OTHERS))
    assert there(kit) == sorted(ALL)
    kit.users[used.id] = [User("c" * 64)]
    await kit.images.remove("app:1", force=True, platforms=platforms(*OTHERS))
    assert there(kit) == [HOST]
