"""Which mount a path is on, and whether what a bind asks for can be."""

import os

import pytest

from sampan.engine.containers import propagation
from sampan.engine.containers.propagation import asked_for, check_propagation, mount_of
from sampan.errors import InvalidArgument
from sampan.wire.containers import BindOptions, Mount, MountPoint

MOUNTINFO = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:30 / /data rw master:5 - tmpfs tmpfs rw
31 22 0:31 / /data/with\040space rw shared:7 master:5 - tmpfs tmpfs rw
32 22 0:32 / /twice rw shared:9 - tmpfs tmpfs rw
33 32 0:33 / /twice rw - tmpfs tmpfs rw
34 22 0:34 / /lone rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "place", "fields"),
    [
        ("/", "/", ["shared:1"]),
        ("/etc/nosuch", "/", ["shared:1"]),
        ("/database", "/", ["shared:1"]),
        ("/data/a", "/data", ["master:5"]),
        ("/data/with space/a", "/data/with space", ["shared:7", "master:5"]),
        ("/twice", "/twice", []),
        ("/lone/../data", "/data", ["master:5"]),
    ],
)
def test_the_mount_of_a_path(path, place, fields):
    assert mount_of(path, MOUNTINFO) == (place, fields)


def test_a_link_leads_to_the_mount_of_its_target(tmp_path):
    (tmp_path / "link").symlink_to("/lone/x")
    assert mount_of(str(tmp_path / "link"), MOUNTINFO)[0] == "/lone"


@pytest.fixture
def mounts(monkeypatch, tmp_path):
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    monkeypatch.setattr(propagation, "_MOUNTS", tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("source", "mode", "words"),
    [
        ("/lone/a", "shared", "path /lone/a is mounted on /lone but it is not a shared mount"),
        ("/lone/a", "rslave", "path /lone/a is mounted on /lone but it is not a shared or slave mount"),
        ("/data/a", "rshared", "path /data/a is mounted on /data but it is not a shared mount"),
    ],
)
def test_what_can_not_be(mounts, source, mode, words):
    with pytest.raises(InvalidArgument) as refused:
        check_propagation([MountPoint(type="bind", source=source, propagation=mode)])
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("source", "mode", "kind"),
    [
        ("/etc", "rshared", "bind"),
        ("/data/a", "slave", "bind"),
        ("/etc", "rslave", "bind"),
        ("/lone", "rprivate", "bind"),
        ("/lone", "", "bind"),
        ("/lone", "rshared", "volume"),
    ],
)
def test_what_can_be(mounts, source, mode, kind):
    check_propagation([MountPoint(type=kind, source=source, propagation=mode)])


def test_what_was_asked_for():
    points = [
        MountPoint(type="bind", destination="/bind", propagation="rslave", mode="ro,rslave"),
        MountPoint(type="bind", destination="/default", propagation="rslave", mode="ro"),
        MountPoint(type="bind", destination="/mount", propagation="shared"),
        MountPoint(type="bind", destination="/plain", propagation="rslave"),
    ]
    wishes = [
        Mount(type="bind", target="/mount/", bind_options=BindOptions(propagation="shared")),
        Mount(type="bind", target="/plain", bind_options=BindOptions()),
    ]
    assert [point.destination for point in asked_for(points, wishes)] == ["/bind", "/mount"]


def test_this_machine_has_a_root():
    assert mount_of("/", propagation._MOUNTS.read_text(errors="surrogateescape"))[0] == "/"
    assert os.path.ismount(mount_of(__file__, propagation._MOUNTS.read_text(errors="surrogateescape"))[0])
