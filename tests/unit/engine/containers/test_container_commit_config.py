"""The config of an image that is made of a container."""

import pytest

from sampan.engine.containers.committing import image_config
from sampan.errors import InvalidArgument
from sampan.wire.base import Empty
from sampan.wire.containers import ContainerConfig, HealthConfig

OWN = ContainerConfig(
    hostname="abc",
    env=["X=1", "PATH=/bin"],
    cmd=["sh"],
    labels={"a": "b"},
    working_dir="/w",
    exposed_ports={"80/tcp": Empty()},
    healthcheck=HealthConfig(test=["CMD", "x"], interval=5),
)


def test_a_container_as_it_is():
    found = image_config(None, OWN, [])
    assert (found.cmd, found.env, found.labels, found.working_dir) == (["sh"], ["X=1", "PATH=/bin"], {"a": "b"}, "/w")
    assert (found.hostname, found.volumes, found.exposed_ports) == ("", None, {"80/tcp": {}})
    assert (found.healthcheck.test, found.healthcheck.interval) == (["CMD", "x"], 5)


def test_changes():
    found = image_config(None, OWN, ['CMD ["x", "y"]', "ENV X=2", "LABEL c=d", "EXPOSE 99", "ENTRYPOINT e"])
    assert found.cmd == ["x", "y"]
    assert found.entrypoint == ["/bin/sh", "-c", "e"]
    assert sorted(found.env) == ["PATH=/bin", "X=2"]
    assert found.labels == {"a": "b", "c": "d"}
    assert set(found.exposed_ports) == {"80/tcp", "99/tcp"}
    with pytest.raises(InvalidArgument, match="BOGUS is not a valid change command"):
        image_config(None, OWN, ["BOGUS x"])


def test_a_given_config_is_completed_by_the_containers():
    given = ContainerConfig(cmd=["only", "this"], env=["Z=9", "X=3"], labels={"q": "r"})
    found = image_config(given, OWN, ["USER worker"])
    assert (found.cmd, found.user, found.working_dir) == (["only", "this"], "worker", "/w")
    assert found.env == ["Z=9", "X=3", "PATH=/bin"]
    assert found.labels == {"a": "b", "q": "r"}
