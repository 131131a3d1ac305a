"""Links between containers on the default bridge, on the real kernel."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def pair(docker):
    """`web` with a link to `db`, which it also calls `store`."""
    docker.ok("run", "-d", "--name", "db", "-e", "WORD=said", "--expose", "80", "busybox", "sleep", "1000")
    docker.ok("run", "-d", "--name", "web", "--link", "db:store", "--link", "db", "busybox", "sleep", "1000")


def names(api):
    return {row["Names"][0]: row["Names"] for row in api.get("/containers/json").json()}


def test_the_other_is_found_by_name_and_variables(docker, pair):
    address = docker.inspect("db")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    docker.ok("exec", "web", "ping", "-c", "1", "-W", "5", "store")
    assert address in docker.ok("exec", "web", "cat", "/etc/hosts")
    env = docker.ok("exec", "web", "env").splitlines()
    assert {f"STORE_PORT=tcp://{address}:80", "STORE_NAME=/web/store", "DB_ENV_WORD=said"} <= set(env)
    assert f"STORE_PORT=tcp://{address}:80" in docker.ok("exec", "web", "cat", "/proc/1/environ").split("\0")


def test_it_has_more_names(docker, api, pair):
    assert names(api) == {"/web": ["/web"], "/db": ["/db", "/web/db", "/web/store"]}
    assert docker.inspect("/web/store")["Id"] == docker.inspect("db")["Id"]
    assert docker.inspect("web")["HostConfig"]["Links"] == ["/db:/web/db", "/db:/web/store"]


def test_a_renamed_one_stays_linked(docker, pair):
    docker.ok("rename", "db", "other")
    assert docker.inspect("web")["HostConfig"]["Links"] == ["/other:/web/db", "/other:/web/store"]
    docker.ok("restart", "-t", "0", "web")
    docker.ok("exec", "web", "ping", "-c", "1", "-W", "5", "store")


def test_a_link_is_removed(docker, api, pair):
    docker.ok("rm", "--link", "/web/store")
    assert docker.inspect("web")["HostConfig"]["Links"] == ["/db:/web/db"]
    assert "cannot remove the default link name" in docker.fails("rm", "--link", "web")
    docker.fails("rm", "--link", "/web/nosuch")
    docker.ok("rm", "-f", "db")
    assert docker.inspect("web")["HostConfig"]["Links"] is None


def test_the_other_must_be_there_and_run(docker, pair):
    docker.ok("stop", "-t", "0", "db")
    docker.ok("stop", "-t", "0", "web")
    assert "Cannot link to a non running container: /db AS /web/" in docker.fails("start", "web")
    assert "could not get container for nosuch" in docker.fails("create", "--link", "nosuch", "busybox", code=1)


def test_a_new_daemon_knows_them(fresh_sampand):
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
    with fresh_sampand.client() as api:
        assert api.post("/containers/create?name=db", body).status == 201
        assert api.post("/containers/db/start").status == 204
        linked = {**body, "HostConfig": {"Links": ["db:store"]}}
        assert api.post("/containers/create?name=web", linked).status == 201
    fresh_sampand.kill()
    fresh_sampand.start()
    with fresh_sampand.client() as api:
        assert api.post("/containers/web/start").status == 204
        assert api.get("/containers/web/json").json()["HostConfig"]["Links"] == ["/db:/web/store"]
