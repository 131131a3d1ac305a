"""Tagging, resolving, removing and pruning by docker's rules, and the lists with their filters."""

from __future__ import annotations

import json

import pytest
from images_kit import HOST, Kit, Layout, User, config, docker_archive, reading, sha, tar

from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.images.commit import CommitRequest
from sampan.images.register import Registrar
from sampan.oci.documents import RunConfig
from sampan.oci.reference import Reference

pytestmark = pytest.mark.root

ONE, TWO = tar(("a", b"one")), tar(("b", b"two2"))


@pytest.fixture
async def kit(tmp_path):
    opened = Kit(tmp_path)
    await opened.load(docker_archive((["app:1"], [ONE], {}), (["made:1", "made:2"], [ONE, TWO], {})))
    opened.events.clear()
    yield opened
    opened.close()


def done(items):
    return [("Untagged", item.untagged) if item.untagged else ("Deleted", item.deleted) for item in items]


def tags(kit, **options):
    return [row.repo_tags for row in kit.images.list(**options)]


# Finding


async def test_every_way_to_name_an_image(kit):
    image = kit.images.resolve("app:1")
    hexadecimal = image.id[7:]
    for ref in ("docker.io/library/app:1", image.id, hexadecimal, hexadecimal[:12], hexadecimal[:5], image.id[:20]):
        assert kit.images.resolve(ref).id == image.id


@pytest.mark.parametrize(
    ("ref", "kind", "message"),
    [
        ("nope", NotFound, "No such image: nope:latest"),
        ("app", NotFound, "No such image: app:latest"),
        ("me/nope:x", NotFound, "No such image: me/nope:x"),
        ("a" * 64, NotFound, "No such image: sha256:" + "a" * 64),
        ("app@sha256:" + "a" * 64, NotFound, "No such image: app@sha256:" + "a" * 64),
        ("A", InvalidArgument, "invalid reference format: repository name (library/A) must be lowercase"),
        ("a b", InvalidArgument, "invalid reference format"),
        ("", InvalidArgument, "invalid reference format"),
    ],
)
async def test_what_is_not_there_is_said_in_dockers_words(kit, ref, kind, message):
    with pytest.raises(kind) as raised:
        kit.images.resolve(ref)
    assert str(raised.value) == message


async def test_an_ambiguous_beginning_names_nothing(kit):
    documents = {}
    number = 0
    while len(documents) < 2 or not any(len(v) > 1 for v in documents.values()):
        document = config([], run={"Cmd": [str(number)]})
        documents.setdefault(sha(document)[7:8], []).append(number)
        number += 1
    pair = next(v for v in documents.values() if len(v) > 1)
    for one in pair:
        await kit.load(docker_archive(([f"p:{one}"], [], {"run": {"Cmd": [str(one)]}})))
    first = kit.images.resolve(f"p:{pair[0]}").id[7:8]
    with pytest.raises(NotFound):
        kit.images.resolve(first)


async def test_a_name_that_looks_like_an_id_wins_over_the_id(kit):
    image = kit.images.resolve("app:1")
    await kit.images.tag("made:1", image.short_id, "latest")
    assert kit.images.resolve(image.short_id).id == kit.images.resolve("made:1").id


# Tagging


async def test_tagging_adds_a_name_and_moves_it(kit):
    await kit.images.tag("app:1", "new", "")
    assert kit.images.resolve("new").repo_tags == ["app:1", "new:latest"]
    assert kit.events == [("tag", kit.images.resolve("app:1").id, {"name": "new:latest"})]
    await kit.images.tag("made:1", "localhost:5000/new", "x")
    await kit.images.tag("made:1", "new", "latest")
    assert kit.images.resolve("app:1").repo_tags == ["app:1"]
    assert kit.images.inspect("new").metadata.last_tag_time > "2026"


@pytest.mark.parametrize(
    ("ref", "repository", "tag", "message"),
    [
        ("app:1", "BAD", "", "must be lowercase"),
        ("app:1", "", "", "invalid reference format"),
        ("app:1", "a", "b d", "invalid tag format"),
        ("app:1", "a@sha256:" + "a" * 64, "", "cannot import digest reference"),
        ("app:1", "sha256", "x", "refusing to create an ambiguous tag using digest algorithm as name"),
    ],
)
async def test_bad_tags_are_refused(kit, ref, repository, tag, message):
    with pytest.raises(InvalidArgument, match=message):
        await kit.images.tag(ref, repository, tag)
    with pytest.raises(NotFound):
        await kit.images.tag("nope", "a", "b")


# Removing


async def test_the_last_name_takes_the_image_with_it(kit):
    image = kit.images.resolve("made:1")
    assert done(await kit.images.remove("made:1")) == [("Untagged", "made:1")]
    top = image.chain_ids[1]
    assert done(await kit.images.remove("made:2")) == [
        ("Untagged", "made:2"),
        ("Deleted", image.id),
        ("Deleted", top),
    ]
    assert [action for action, _, _ in kit.events] == ["untag", "untag", "delete"]
    assert done(await kit.images.remove("app:1"))[-1] == ("Deleted", sha(ONE))
    assert kit.left() == ([], [], [])


async def test_an_id_of_several_names_needs_force(kit):
    image = kit.images.resolve("app:1")
    await kit.images.tag("app:1", "app", "2")
    with pytest.raises(Conflict) as refused:
        await kit.images.remove(image.id)
    assert str(refused.value) == (
        f"conflict: unable to delete {image.short_id} (must be forced) - image is referenced in multiple repositories"
    )
    assert done(await kit.images.remove(image.short_id, force=True))[:2] == [
        ("Untagged", "app:1"),
        ("Untagged", "app:2"),
    ]


async def test_an_id_of_one_name_goes_without_force(kit):
    image = kit.images.resolve("app:1")
    assert done(await kit.images.remove(image.short_id)) == [("Untagged", "app:1"), ("Deleted", image.id)]


async def test_the_last_tag_of_a_repository_takes_its_digests(kit):
    image = kit.images.resolve("app:1")
    registrar = Registrar(kit.database)
    for name in (f"app@{image.manifest}", f"other/app@{image.manifest}"):
        registrar.tag(image.id, image.manifest, Reference.parse(name))
    assert kit.images.resolve("app:1").repo_digests == [f"app@{image.manifest}", f"other/app@{image.manifest}"]
    assert kit.images.resolve(f"app:other@{image.manifest}").id == image.id
    assert done(await kit.images.remove("app:1")) == [("Untagged", "app:1"), ("Untagged", f"app@{image.manifest}")]
    assert done(await kit.images.remove(f"other/app@{image.manifest}"))[-1] == ("Deleted", image.id)


async def test_images_in_use(kit):
    image = kit.images.resolve("app:1")
    kit.users[image.id] = [User("c" * 64)]
    with pytest.raises(Conflict) as refused:
        await kit.images.remove("app:1")
    assert str(refused.value) == (
        'conflict: unable to remove repository reference "app:1" (must force) - '
        f"container cccccccccccc is using its referenced image {image.short_id}"
    )
    with pytest.raises(Conflict, match=r"must be forced\) - image is being used by stopped container cccccccccccc"):
        await kit.images.remove(image.id)
    kit.users[image.id] = [User("c" * 64, running=True)]
    with pytest.raises(Conflict, match=r"cannot be forced\) - image is being used by running container cccccccccccc"):
        await kit.images.remove(image.id, force=True)
    assert done(await kit.images.remove("app:1", force=True)) == [("Untagged", "app:1")]
    assert kit.images.resolve(image.id).references == ()


async def test_one_of_two_names_goes_though_the_image_is_in_use(kit):
    image = kit.images.resolve("made:1")
    kit.users[image.id] = [User("c" * 64, running=True)]
    assert done(await kit.images.remove("made:1")) == [("Untagged", "made:1")]


async def test_a_stopped_containers_layers_outlive_the_image(kit):
    image = kit.images.resolve("app:1")
    await kit.images.remove("made:1")
    await kit.images.remove("made:2")
    await kit.images.prepare(image.id, "c")
    kit.users[image.id] = [User("c" * 64)]
    assert done(await kit.images.remove("app:1", force=True)) == [("Untagged", "app:1"), ("Deleted", image.id)]
    with kit.images.snapshots.view("c") as root:
        import os

        assert "a" in os.listdir(root)
    kit.reopen()
    assert len(kit.images.snapshots.layers()) == 1
    await kit.images.discard("c")
    assert kit.left() == ([], [], [])


async def commit(kit, base, name=""):
    image = kit.images.resolve(base)
    await kit.images.prepare(image.id, "commit")
    (kit.images.snapshots.upper("commit") / "new").write_text(name or "x")
    made = await kit.images.commit(CommitRequest("commit", RunConfig()), image.id, name)
    await kit.images.discard("commit")
    return made


async def test_parents_and_children(kit):
    parent = kit.images.resolve("app:1")
    child = await commit(kit, "app:1", "child")
    with pytest.raises(Conflict, match=r"cannot be forced\) - image has dependent child images"):
        await kit.images.remove(parent.id, force=True)
    assert done(await kit.images.remove("app:1")) == [("Untagged", "app:1")]
    assert tags(kit) == [["child:latest"], ["made:1", "made:2"]]
    assert tags(kit, everything=True) == [["child:latest"], [], ["made:1", "made:2"]]
    removed = done(await kit.images.remove("child"))
    assert removed[:2] == [("Untagged", "child:latest"), ("Deleted", child)]
    assert removed[-1] == ("Deleted", parent.id)


async def test_parents_stay_with_noprune(kit):
    parent = kit.images.resolve("app:1")
    await commit(kit, "app:1", "child")
    await kit.images.remove("app:1")
    assert ("Deleted", parent.id) not in done(await kit.images.remove("child", prune=False))
    assert kit.images.resolve(parent.id).id == parent.id


async def test_names_that_are_not_there(kit):
    for ref in ("nope", "app", "app:2"):
        with pytest.raises(NotFound, match="No such image"):
            await kit.images.remove(ref)


# Pruning


async def test_pruning_takes_what_nothing_uses(kit):
    dangling = await commit(kit, "app:1")
    report = await kit.images.prune()
    assert [item.deleted for item in report.images_deleted or []][:1] == [dangling]
    assert report.space_reclaimed > 0
    assert kit.events[-1][0] == "prune"
    assert tags(kit) == [["app:1"], ["made:1", "made:2"]] or tags(kit) == [["made:1", "made:2"], ["app:1"]]
    kit.users[kit.images.resolve("app:1").id] = [User("c")]
    report = await kit.images.prune({"dangling": ["false"]})
    assert ("Untagged", "made:1") in done(report.images_deleted)
    assert tags(kit) == [["app:1"]]


async def test_pruning_takes_all_names_but_one_of_an_image_in_use(kit):
    kit.users[kit.images.resolve("made:1").id] = [User("c" * 64)]
    report = await kit.images.prune({"dangling": ["false"]})
    assert ("Untagged", "made:1") in done(report.images_deleted)
    assert tags(kit) == [["made:2"]]


async def test_pruning_spares_parents_of_images_that_stay(kit):
    await commit(kit, "app:1", "child")
    await kit.images.remove("app:1")
    assert (await kit.images.prune()).images_deleted is None
    assert tags(kit, everything=True)[:2] == [["child:latest"], []]


async def test_prune_filters(kit):
    assert (await kit.images.prune({"dangling": ["0"], "label": ["x"]})).images_deleted is None
    assert (await kit.images.prune({"dangling": ["0"], "until": ["2000-01-01T00:00:00Z"]})).images_deleted is None
    with pytest.raises(InvalidArgument, match="invalid filter 'foo'"):
        await kit.images.prune({"foo": ["x"]})


# Listing


@pytest.fixture
async def aged(tmp_path):
    opened = Kit(tmp_path)
    for year in (2001, 2002, 2003):
        fields = {"created": f"{year}-01-01T00:00:00Z", "run": {"Labels": {"year": str(year), "all": ""}}}
        await opened.load(docker_archive(([f"y{year}:1", f"me/y{year}:latest"], [ONE], fields)))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("filters", "years"),
    [
        ({}, [2003, 2002, 2001]),
        ({"before": ["y2002:1"]}, [2001]),
        ({"since": ["y2002:1"]}, [2003]),
        ({"before": ["y2003:1"], "since": ["y2001:1"]}, [2002]),
        ({"until": ["2002-06-01T00:00:00Z"]}, [2002, 2001]),
        ({"label": ["year=2002"]}, [2002]),
        ({"label": ["all", "year"]}, [2003, 2002, 2001]),
        ({"label": ["all=x"]}, []),
        ({"reference": ["y2002"]}, [2002]),
        ({"reference": ["y2002:1", "y2001:*"]}, [2002, 2001]),
        ({"reference": ["y200[13]:1"]}, [2003, 2001]),
        ({"reference": ["y200[^13]:1"]}, [2002]),
        ({"reference": ["me/*"]}, [2003, 2002, 2001]),
        ({"reference": ["*"]}, [2003, 2002, 2001]),
        ({"reference": ["*:latest"]}, []),
        ({"reference": ["*/*:latest"]}, [2003, 2002, 2001]),
        ({"dangling": ["false"]}, [2003, 2002, 2001]),
        ({"dangling": ["true"]}, []),
    ],
)
async def test_filters(aged, filters, years):
    found = aged.images.list(filters=filters)
    assert [int(row.labels["year"]) for row in found] == years


async def test_a_reference_filter_leaves_only_what_fits(aged):
    (row,) = aged.images.list(filters={"reference": ["y2002:*"]})
    assert row.repo_tags == ["y2002:1"]


@pytest.mark.parametrize(
    ("filters", "kind", "message"),
    [
        ({"foo": ["x"]}, InvalidArgument, "invalid filter 'foo'"),
        ({"dangling": ["x"]}, InvalidArgument, "invalid filter 'dangling=[x]'"),
        ({"dangling": ["true", "false"]}, InvalidArgument, "invalid filter 'dangling=[true false]'"),
        ({"before": ["nope"]}, NotFound, "No such image: nope:latest"),
        ({"until": ["x"]}, InvalidArgument, "x"),
        ({"reference": ["["]}, InvalidArgument, "syntax error in pattern"),
    ],
)
async def test_filters_that_can_not_be_right(aged, filters, kind, message):
    with pytest.raises(kind) as raised:
        aged.images.list(filters=filters)
    assert message in str(raised.value)


async def test_sizes_and_containers_in_lists(kit):
    image = kit.images.resolve("made:1")
    kit.users[image.id] = [User("a"), User("b")]
    rows = {tuple(row.repo_tags): row for row in kit.images.list(shared_size=True)}
    made, app = rows["made:1", "made:2"], rows[("app:1",)]
    assert (made.size, made.shared_size, made.containers) == (7, 3, 2)
    assert (app.size, app.shared_size, app.containers) == (3, 3, 0)
    assert kit.images.size_of(image.id) == 7
    assert kit.images.descendants("app:1") == {image.id, kit.images.resolve("app:1").id}
    assert kit.images.descendants("nope") == set()


# Inspecting


async def test_inspect_and_history(kit):
    shown = kit.images.inspect("made:1")
    assert (shown.architecture, shown.os, shown.size) == (HOST, "linux", 7)
    assert shown.created == "2020-01-01T00:00:00Z"
    assert shown.root_fs.layers == [sha(ONE), sha(TWO)]
    assert shown.graph_driver.name == "overlay2"
    assert shown.graph_driver.data is not None
    assert set(shown.graph_driver.data) == {"LowerDir", "MergedDir", "UpperDir", "WorkDir"}
    steps = kit.images.history("made:1")
    assert [(step.created_by, step.size) for step in steps] == [("step 1", 4), ("step 0", 3)]
    assert steps[0].tags == ["made:1", "made:2"]
    assert (steps[1].id, steps[1].tags) == ("<missing>", None)


# Importing


async def test_import_makes_an_image_of_one_layer(kit):
    line = await kit.images.import_(reading(ONE), "imp", "1", "hello", ['CMD ["x"]', "ENV A=b C='d e'", "LABEL l=1"])
    image = kit.images.resolve("imp:1")
    assert json.loads(line) == {"status": image.id}
    assert image.config.run.env == ["A=b", "C=d e"]
    assert image.config.run.cmd == ["x"]
    assert kit.images.history("imp:1")[0].comment == "hello"
    assert [event[0] for event in kit.events] == ["tag", "import"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repository": "BAD"}, "must be lowercase"),
        ({"repository": "a", "tag": "B:D"}, "invalid tag format"),
        ({"changes": ["RUN x"]}, "RUN is not a valid change command"),
        ({"changes": ["FOO"]}, "FOO is not a valid change command"),
        ({"platform": "a/b/c/d"}, "cannot parse platform specifier"),
        ({"content": b"garbage" * 200}, "invalid tar header"),
        ({"content": ONE[:514]}, "unexpected EOF"),
        ({"content": tar(("../x", b""))}, "invalid entry name"),
    ],
)
async def test_imports_that_are_refused_leave_nothing(kit, options, message):
    before = kit.left()
    with pytest.raises(InvalidArgument, match=message):
        await kit.images.import_(reading(options.pop("content", ONE)), **options)
    assert kit.left() == before


async def test_layout_names_that_are_only_a_tag_name_nothing(kit):
    layout = Layout()
    described = layout.image([ONE], run={"Cmd": ["other"]})
    layout.index.append({**described, "annotations": {"org.opencontainers.image.ref.name": "latest"}})
    lines = await kit.load(layout.archive(), quiet=True)
    assert lines[-1]["stream"].startswith("Loaded image ID: sha256:")
