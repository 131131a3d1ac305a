"""The user's settings and contexts, credentials among them."""

from __future__ import annotations

import base64
import json
import os
import stat

import pytest

from sampan.cli.config import ConfigFolder
from sampan.cli.context import DEFAULT_HOST, Cli
from sampan.cli.credentials import auth_header, find, forget, store
from sampan.cli.main import run
from sampan.errors import InvalidArgument, NotFound, Unavailable
from sampan.wire.distribution import AuthConfig


@pytest.fixture
def environ(tmp_path):
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".docker").mkdir()
    return tmp_path / ".docker"


def write(folder, **values):
    (folder / "config.json").write_text(json.dumps(values))


def test_nothing_there(environ):
    cli = Cli(environ)
    assert (cli.host, cli.context_name, cli.config.values) == (DEFAULT_HOST, "default", {})


def test_unreadable_settings_are_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(InvalidArgument, match=r"config\.json"):
        _ = ConfigFolder(str(folder)).values


def test_who_decides_about_the_host(environ, folder, capsys):
    assert run(["context", "create", "there", "--docker", "host=tcp://h:1"], environ) == 0
    assert run(["context", "use", "there"], environ) == 0
    assert Cli(environ).host == "tcp://h:1"
    assert Cli(environ | {"DOCKER_HOST": "tcp://env:2"}).host == "tcp://env:2"
    assert Cli(environ | {"DOCKER_HOST": "tcp://env:2", "SAMPAN_HOST": "tcp://own:3"}).host == "tcp://own:3"
    assert Cli(environ | {"DOCKER_HOST": "tcp://env:2"}, context="there").host == "tcp://h:1"
    assert Cli(environ, host="tcp://flag:4", context="there").host == "tcp://flag:4"
    assert Cli(environ | {"DOCKER_CONTEXT": "default"}).host == DEFAULT_HOST
    with pytest.raises(NotFound, match="nosuch"):
        _ = Cli(environ | {"DOCKER_CONTEXT": "nosuch"}).host


def test_contexts_come_and_go(environ, folder, capsys):
    run(["context", "create", "one", "--description", "first", "--docker", "host=unix:///x"], environ)
    assert run(["context", "create", "one"], environ) == 1
    assert run(["context", "create", "default"], environ) == 1
    capsys.readouterr()
    run(["context", "ls"], environ)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["default", "*"] and lines[2].split() == ["one", "first", "unix:///x"]
    run(["context", "use", "one"], environ)
    assert run(["context", "rm", "one"], environ) == 1
    assert run(["context", "rm", "-f", "one"], environ) == 0
    assert run(["context", "rm", "one"], environ) == 1
    capsys.readouterr()
    run(["context", "show"], environ)
    assert capsys.readouterr().out == "default\n"


def test_settings_are_for_the_user_only(folder):
    config = ConfigFolder(str(folder))
    config.save({"a": 1})
    assert stat.S_IMODE(os.stat(folder / "config.json").st_mode) == 0o600
    assert ConfigFolder(str(folder)).values == {"a": 1}


def test_stored_credentials(environ, folder):
    auth = base64.b64encode(b"me:secret:x").decode()
    write(folder, auths={"https://reg.example/v2/": {"auth": auth}, "https://index.docker.io/v1/": {"auth": auth}})
    cli = Cli(environ)
    expected = AuthConfig(username="me", password="secret:x", server_address="reg.example")
    assert find(cli, "reg.example") == expected
    assert json.loads(base64.urlsafe_b64decode(auth_header(cli, "docker.io")))["username"] == "me"
    assert auth_header(cli, "other.example") == ""


@pytest.fixture
def helper(environ, folder, tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "docker-credential-test"

    def install(script: str) -> Cli:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        write(folder, credsStore="test")
        return Cli(environ)

    return install


def test_a_credential_helper(helper, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    cli = helper('read server; echo "{\\"Username\\":\\"u\\",\\"Secret\\":\\"$server\\"}"')
    assert find(cli, "reg.example") == AuthConfig(username="u", password="reg.example", server_address="reg.example")
    cli = helper('echo \'{"Username":"<token>","Secret":"t"}\'')
    assert find(cli, "reg.example") == AuthConfig(identity_token="t", server_address="reg.example")
    cli = helper("echo credentials not found in native keychain; exit 1")
    assert find(cli, "reg.example") == AuthConfig()
    cli = helper("echo broken; exit 1")
    with pytest.raises(Unavailable, match="broken"):
        find(cli, "reg.example")


def test_credentials_come_and_go_in_the_settings(environ, folder):
    write(folder, psFormat="x")
    cli = Cli(environ)
    assert "unencrypted" in store(cli, AuthConfig(username="me", password="s", server_address="reg.example"))
    assert find(Cli(environ), "reg.example").password == "s"
    assert forget(Cli(environ), "reg.example")
    assert not forget(Cli(environ), "reg.example")
    assert find(Cli(environ), "reg.example") == AuthConfig()
    assert Cli(environ).config.text("psFormat") == "x"


def test_a_token_is_kept_instead_of_the_password(environ, folder):
    wanted = AuthConfig(username="me", password="s", identity_token="t", server_address="reg.example")
    store(Cli(environ), wanted)
    assert find(Cli(environ), "reg.example") == AuthConfig(
        username="me", identity_token="t", server_address="reg.example"
    )


def test_a_helper_keeps_and_forgets(helper, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    cli = helper(f'echo "$1 $(cat)" >> {tmp_path}/calls')
    assert store(cli, AuthConfig(username="u", password="p", server_address="reg.example")) == ""
    assert forget(cli, "reg.example")
    stored, erased = (tmp_path / "calls").read_text().splitlines()
    assert json.loads(stored.removeprefix("store ")) == {"ServerURL": "reg.example", "Username": "u", "Secret": "p"}
    assert erased == "erase reg.example"
    assert "auths" not in cli.config.values


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["login", "-u", "x"], "non TTY"),
        (["login", "--password-stdin"], "Must provide --username"),
        (["login", "-u", "x", "-p", "y", "--password-stdin"], "mutually exclusive"),
    ],
)
def test_logins_that_are_refused(environ, argv, message, capsys, monkeypatch):
    monkeypatch.setattr(Cli, "stdin_is_terminal", False)
    assert run(argv, environ) == 1
    assert message in capsys.readouterr().err


def test_logout_without_login(environ, capsys):
    assert run(["logout", "https://reg.example/v2/"], environ) == 0
    assert capsys.readouterr().out == "Not logged in to reg.example\n"


def test_a_missing_credential_helper(environ, folder):
    write(folder, credHelpers={"reg.example": "nosuch"})
    with pytest.raises(Unavailable, match="docker-credential-nosuch"):
        find(Cli(environ), "reg.example")
