"""docker cp, diff and export on the real kernel: what runs and what does not, volumes, tmpfs, links, owners."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from rig.waiting import wait_until

pytestmark = pytest.mark.root

FILL = (
    "mkdir -p /w/sub/deep; echo hello >/w/f; chown 5:6 /w/f; chmod 640 /w/f; ln -s /w/sub /w/abs; ln -s f /w/rel;"
    "ln /w/f /w/hard; mkfifo /w/fifo; echo deep >/w/sub/deep/x; rm /etc/group; chmod 700 /home; echo t >/t/inside;"
    "echo v >/vol/v; touch /filled; sleep 1000"
)


@pytest.fixture
def host_folder(tmp_path):
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "b").write_text("bound")
    return folder


@pytest.fixture(params=["running", "stopped"])
def box(request, docker, host_folder):
    """A container with files, a volume, binds and a tmpfs."""
    mounts = ["-v", "/vol", "-v", f"{host_folder}:/bind", "-v", f"{host_folder}:/ro:ro", "--tmpfs", "/t"]
    docker.ok("run", "-d", "--name", "box", "--net", "none", *mounts, "busybox", "sh", "-c", FILL)
    wait_until(lambda: docker.run("exec", "box", "test", "-e", "/filled").returncode == 0)
    if request.param == "stopped":
        docker.ok("stop", "-t", "0", "box")
    return request.param


def get(api, path, name="box"):
    answer = api.get(f"/containers/{name}/archive?path={path}")
    assert answer.status == 200, answer.message
    return tarfile.open(fileobj=io.BytesIO(answer.body))


def test_the_whole_root_can_be_copied(api, box):
    names = get(api, "/").getnames()
    assert {"./w/f", "./bind/b"} <= {f"./{name.lstrip('./')}" for name in names}
    inside = {"proc", "sys"}
    assert {name.lstrip("./") for name in names if name.lstrip("./").split("/")[0] in inside} == inside


def put(api, path, entries, query="", name="box"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, data in entries.items():
            info = tarfile.TarInfo(entry)
            info.size, info.uid, info.gid = len(data), 7, 8
            archive.addfile(info, io.BytesIO(data))
    headers = {"Content-Type": "application/x-tar"}
    return api.request("PUT", f"/containers/{name}/archive?path={path}{query}", buffer.getvalue(), headers)


def path_stat(api, path, name="box"):
    answer = api.request("HEAD", f"/containers/{name}/archive?path={path}")
    assert answer.status == 200
    return json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))


def open_files(pid):
    """What a process has open, but for the database: each of its threads opens that once."""
    folder = Path(f"/proc/{pid}/fd")
    names = [os.readlink(entry) for entry in folder.iterdir() if os.path.lexists(entry)]
    return [name for name in names if "/sampan.db" not in name]


class TestOut:
    def test_a_tree_with_links_and_owners(self, api, box):
        found = {member.name: member for member in get(api, "/w")}
        assert set(found) == {"w", "w/abs", "w/f", "w/fifo", "w/hard", "w/rel", "w/sub", "w/sub/deep", "w/sub/deep/x"}
        assert (found["w/f"].uid, found["w/f"].gid, found["w/f"].mode) == (5, 6, 0o640)
        assert (found["w/abs"].linkname, found["w/rel"].linkname) == ("/w/sub", "f")
        assert (found["w/hard"].type, found["w/hard"].linkname) == (tarfile.LNKTYPE, "w/f")
        assert found["w/fifo"].isfifo()

    @pytest.mark.parametrize(
        ("path", "first"), [("/w/abs", "abs"), ("/w/abs/", "abs"), ("/w/sub/.", "."), ("/w/../w/f", "f")]
    )
    def test_what_the_end_of_a_path_means(self, api, box, path, first):
        members = get(api, path).getmembers()
        assert members[0].name == first
        assert members[0].issym() == (path == "/w/abs")

    def test_volumes_and_binds_are_seen(self, api, box):
        assert get(api, "/vol").getnames() == ["vol", "vol/v"]
        assert get(api, "/bind/b").extractfile("b").read() == b"bound"
        assert path_stat(api, "/etc/hostname")["size"] == 13

    def test_a_tmpfs_is_seen_while_it_is_there(self, api, box):
        names = get(api, "/t").getnames()
        assert names == (["t", "t/inside"] if box == "running" else ["t"])

    def test_stat(self, api, box):
        found = path_stat(api, "/w/abs")
        assert (found["name"], found["linkTarget"], found["mode"]) == ("abs", "/w/sub", 1 << 27 | 0o777)
        assert path_stat(api, "/w/f")["size"] == 6

    def test_what_is_not_there(self, api, docker, box):
        assert api.get("/containers/box/archive?path=/nosuch").message == (
            "Could not find the file /nosuch in container box"
        )
        assert api.request("HEAD", "/containers/box/archive?path=/nosuch").status == 404
        assert "Could not find the file /nosuch" in docker.fails("cp", "box:/nosuch", "-")

    def test_the_command_line(self, docker, box, tmp_path):
        docker.ok("cp", "box:/w/sub", str(tmp_path / "new"))
        assert (tmp_path / "new/deep/x").read_text() == "deep\n"
        docker.ok("cp", "-L", "box:/w/rel", str(tmp_path / "file"))
        assert (tmp_path / "file").read_text() == "hello\n"
        tar = docker.run("cp", "box:/w/f", "-").stdout
        assert tarfile.open(fileobj=io.BytesIO(tar)).getmember("f").uid == 5

    def test_a_large_file_is_whole(self, api, docker, sampand, box):
        data = os.urandom(5_000_001)
        assert put(api, "/", {"large": data}).status == 200
        assert get(api, "/large").extractfile("large").read() == data

    def test_clients_that_go_away_leave_nothing_open(self, api, sampand, box):
        before = len(open_files(sampand.pid))
        for _ in range(5):
            stream = api.stream(api.begin("GET", "/containers/box/archive?path=/bin"))
            next(stream)
            api.close()
        wait_until(lambda: len(open_files(sampand.pid)) <= before)


class TestIn:
    def test_files_keep_their_owner(self, api, box):
        assert put(api, "/w", {"new": b"data", "sub/made/f": b"deep"}).status == 200
        assert get(api, "/w/new").getmember("new").uid == 7
        assert path_stat(api, "/w/sub/made/f")["size"] == 4

    def test_or_get_the_containers_user(self, api, docker):
        docker.ok("create", "--name", "owned", "--net", "none", "-u", "worker:staff", "busybox", "true")
        assert put(api, "/tmp", {"f": b"x"}, "&copyUIDGID=1", "owned").status == 200
        member = get(api, "/tmp/f", "owned").getmember("f")
        assert (member.uid, member.gid) == (1000, 50)
        docker.ok("create", "--name", "strange", "--net", "none", "-u", "nosuch", "busybox", "true")
        refused = put(api, "/tmp", {"f": b"x"}, "&copyUIDGID=1", "strange")
        assert refused.status == 400
        assert refused.message.startswith('failed to look up user "nosuch" in container')

    def test_through_a_link_and_into_volumes(self, api, docker, box, host_folder):
        assert put(api, "/w/abs", {"through": b"x"}).status == 200
        assert path_stat(api, "/w/sub/through")["size"] == 1
        assert put(api, "/bind", {"fromhere": b"y"}).status == 200
        assert (host_folder / "fromhere").read_bytes() == b"y"
        assert put(api, "/vol", {"kept": b"z"}).status == 200
        assert "vol/kept" in get(api, "/vol").getnames()

    def test_into_a_tmpfs(self, api, docker, box):
        assert put(api, "/t", {"late": b"x"}).status == 200
        if box == "running":
            assert docker.ok("exec", "box", "cat", "/t/late") == "x"

    def test_refusals(self, api, box):
        assert put(api, "/nosuch", {"f": b""}).status == 404
        assert put(api, "/w/f", {"f": b""}).message == "extraction point is not a directory"
        assert put(api, "/ro", {"f": b""}).message == "mounted volume is marked read-only"
        assert put(api, "/w", {"sub": b"file"}, "&noOverwriteDirNonDir=1").status == 400
        assert put(api, "/w", {"../out": b""}).status == 400
        assert api.request("PUT", "/containers/box/archive?path=/w", b"garbage" * 200).status == 400

    def test_a_read_only_root(self, api, docker):
        docker.ok("create", "--name", "fixed", "--net", "none", "--read-only", "-v", "/vol", "busybox", "true")
        assert put(api, "/tmp", {"f": b""}, name="fixed").message == "container rootfs is marked read-only"
        assert put(api, "/vol", {"f": b"x"}, name="fixed").status == 200
        assert "vol/f" in get(api, "/vol", "fixed").getnames()

    def test_before_the_first_start(self, docker, tmp_path):
        (tmp_path / "script").write_text("#!/bin/sh\necho from outside\n")
        (tmp_path / "script").chmod(0o755)
        docker.ok("create", "--name", "fresh", "--net", "none", "-v", "/data", "busybox", "/script")
        docker.ok("cp", "fresh:/data", str(tmp_path))
        assert list((tmp_path / "data").iterdir()) == []
        docker.ok("cp", str(tmp_path / "script"), "fresh:/script")
        docker.ok("cp", str(tmp_path / "script"), "fresh:/data/copy")
        assert docker.ok("start", "-a", "fresh") == "from outside"


class TestDiffAndExport:
    def test_readers_are_not_disturbed_by_a_removal(self, api, docker):
        docker.ok("create", "--name", "leaving", "--net", "none", "busybox", "true")
        export = api.stream(api.begin("GET", "/containers/leaving/export"))
        first = next(export)
        docker.ok("rm", "leaving")
        names = tarfile.open(fileobj=io.BytesIO(first + b"".join(export))).getnames()
        assert {"bin/busybox", "etc/passwd", "tmp"} <= set(names)
        for path in ("export", "changes", "archive?path=/etc"):
            assert api.get(f"/containers/leaving/{path}").status == 404

    def test_changes(self, docker, box):
        lines = set(docker.ok("diff", "box").splitlines())
        assert {"A /w", "A /w/sub/deep/x", "D /etc/group", "C /etc", "C /home", "A /filled"} <= lines
        assert not any(
            line.endswith(("/etc/hostname", "/proc", "/.dockerenv", "/vol/v", "/t/inside")) for line in lines
        )

    def test_no_changes_are_null(self, docker, api):
        docker.ok("create", "--name", "same", "--net", "none", "busybox", "true")
        assert api.get("/containers/same/changes").json() is None

    def test_export_is_the_root_without_its_mounts(self, api, docker, box):
        answer = api.get("/containers/box/export")
        names = set(tarfile.open(fileobj=io.BytesIO(answer.body)).getnames())
        assert {"w/f", "bin/busybox", "vol", "bind", "t", "proc", "etc/passwd"} <= names
        assert not names & {"vol/v", "bind/b", "t/inside", "etc/group", "proc/1"}

    def test_an_export_can_be_imported(self, docker, box):
        exported = docker.run("export", "box").stdout
        docker.ok("import", "-", "again", stdin=exported)
        assert docker.ok("run", "--rm", "--net", "none", "again", "cat", "/w/f") == "hello"
        docker.ok("rmi", "again")
