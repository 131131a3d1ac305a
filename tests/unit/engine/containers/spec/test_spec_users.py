from __future__ import annotations

import pytest

from sampan.engine.containers.spec.users import User, resolve_user
from sampan.errors import InvalidArgument

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false

postgres:x:70:71::/var/lib/postgresql:/bin/sh
short:x:80
8888:x:90:90::/numeric:
"""
GROUP = """root:x:0:
daemon:x:1:
wheel:x:10:root,daemon
audio:x:29:daemon
postgres:x:71:
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", User(0, 0, (0, 10), "/root")),
        (":", User(0, 0, (0, 10), "/root")),
        ("0", User(0, 0, (0, 10), "/root")),
        ("daemon", User(1, 1, (1, 10, 29), "/usr/sbin")),
        ("1", User(1, 1, (1, 10, 29), "/usr/sbin")),
        ("postgres", User(70, 71, (71,), "/var/lib/postgresql")),
        ("postgres:audio", User(70, 29, (29,), "/var/lib/postgresql")),
        ("daemon:wheel", User(1, 10, (10,), "/usr/sbin")),
        ("5:7", User(5, 7, (7,), "/")),
        ("5:", User(5, 0, (0,), "/")),
        ("7777", User(7777, 0, (0,), "/")),
        (":wheel", User(0, 10, (10,), "/root")),
        ("short", User(80, 0, (0,), "")),
        ("8888", User(90, 90, (90,), "/numeric")),
    ],
)
def test_resolution(spec, expected):
    assert resolve_user(spec, PASSWD, GROUP) == expected


def test_an_image_without_files_knows_only_numbers():
    assert resolve_user("", "", "") == User(0, 0, (0,), "/")
    assert resolve_user("33:44", "", "") == User(33, 44, (44,), "/")


def test_further_groups_by_name_and_number_once_each():
    user = resolve_user("postgres", PASSWD, GROUP, ["audio", "29", "777", "wheel", "777"])
    assert user.groups == (71, 29, 777, 10)


@pytest.mark.parametrize(
    ("spec", "groups", "message"),
    [
        ("nosuch", [], "unable to find user nosuch: no matching entries in passwd file"),
        ("a:b:c", [], "unable to find user a: no matching entries in passwd file"),
        ("0:nosuch", [], "unable to find group nosuch: no matching entries in group file"),
        ("", ["nosuch"], "unable to find group nosuch: no matching entries in group file"),
        ("99999999999", [], "uids and gids must be in range 0-2147483647"),
        ("-1", [], "uids and gids must be in range 0-2147483647"),
        ("0:99999999999", [], "uids and gids must be in range 0-2147483647"),
        ("", ["-5"], "uids and gids must be in range 0-2147483647"),
    ],
)
def test_what_can_not_be_resolved(spec, groups, message):
    with pytest.raises(InvalidArgument) as error:
        resolve_user(spec, PASSWD, GROUP, groups)
    assert str(error.value) == message
