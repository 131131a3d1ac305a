"""`sampan registry`: the commands against a registry that is served on loopback."""

from __future__ import annotations

import asyncio
import base64
import json

import bcrypt
import pytest

from rig.registry import served
from sampan.cli.main import run
from sampan.oci.digest import digest_of
from sampan.registry.auth.passwords import Passwords
from sampan.registry.auth.policy import Basic, Policy


@pytest.fixture
def sampan(capsys, tmp_path):
    """Runs a command; returns its exit code, output and errors."""

    async def command(*words: str) -> tuple[int, str, str]:
        environ = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}
        code = await asyncio.to_thread(run, ["registry", *words], environ)
        output, errors = capsys.readouterr()
        return code, output, errors

    return command


def address(client) -> str:
    return client.base.removeprefix("http://")


async def test_lists(client, sampan):
    for tag in ("1", "2"):
        await client.put_image("a/b", tag)
    await client.put_image("c", "x")
    assert await sampan("ls", address(client)) == (0, "a/b\nc\n", "")
    assert await sampan("tags", f"{address(client)}/a/b") == (0, "1\n2\n", "")
    code, _, errors = await sampan("tags", f"{address(client)}/none")
    assert (code, "name unknown" in errors) == (1, True)


async def test_inspect(client, sampan):
    digest = await client.put_image("a", "t")
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1}
    referrer = await client.put_image("a", "r", subject=subject)
    code, output, _ = await sampan("inspect", "--referrers", f"{address(client)}/a:t")
    shown = json.loads(output)
    assert (code, shown["Digest"], shown["Name"]) == (0, digest, f"{address(client)}/a")
    assert [found["Digest"] for found in shown["Referrers"]] == [referrer]
    _, raw, _ = await sampan("inspect", "--raw", f"{address(client)}/a@{digest}")
    assert digest_of(raw.encode()) == digest
    assert await sampan("inspect", "--config", "--raw", f"{address(client)}/a:t") == (0, "{}", "")


async def test_rm(client, sampan):
    await client.put_image("a", "one")
    digest = await client.put_image("a", "two")
    assert await sampan("rm", f"{address(client)}/a:one") == (0, f"{address(client)}/a:one\n", "")
    assert (await client.get("/v2/a/tags/list")).json()["tags"] == ["two"]
    code, output, _ = await sampan("rm", "--manifest", f"{address(client)}/a:two")
    assert (code, output) == (0, f"{address(client)}/a@{digest}\n")
    assert (await client.get(f"/v2/a/manifests/{digest}")).status == 404
    code, _, errors = await sampan("rm", f"{address(client)}/a")
    assert (code, "whole repository" in errors) == (1, True)
    code, _, errors = await sampan("rm", f"{address(client)}/a:gone")
    assert (code, "manifest unknown" in errors) == (1, True)


async def test_copy(client, sampan):
    digest = await client.put_image("a", "1")
    base = address(client)
    assert await sampan("copy", "-q", f"{base}/a:1", f"{base}/b:2") == (0, f"{digest}\n", "")
    assert await sampan("copy", "-a", f"{base}/a", f"{base}/c") == (0, f"{base}/a:1 -> {base}/c:1 {digest}\n", "")
    code, output, _ = await sampan("copy", "-q", f"{base}/a@{digest}", f"{base}/d")
    assert (code, output) == (0, f"{digest}\n")
    assert (await client.get(f"/v2/d/manifests/{digest}")).status == 200
    code, _, errors = await sampan("copy", "-a", f"{base}/a:1", f"{base}/c")
    assert (code, "takes no tags" in errors) == (1, True)


async def test_credentials_by_flag_and_from_the_users_config(registry, sampan, tmp_path):
    (tmp_path / "users").write_text(f"user:{bcrypt.hashpw(b'pass', bcrypt.gensalt(4)).decode()}\n")
    async with served(registry) as client:
        await client.put_image("a", "t")
    async with served(registry, Basic(Passwords(tmp_path / "users"), Policy())) as client:
        code, _, errors = await sampan("ls", address(client))
        assert (code, "unauthorized" in errors) == (1, True)
        assert await sampan("ls", "--creds", "user:pass", address(client)) == (0, "a\n", "")
        code, _, errors = await sampan("ls", "--creds", "user", address(client))
        assert (code, "USER:PASSWORD" in errors) == (1, True)
        entry = {"auth": base64.b64encode(b"user:pass").decode()}
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {address(client): entry}}))
        assert await sampan("ls", address(client)) == (0, "a\n", "")


async def test_gc(client, sampan, tmp_path):
    digest = await client.put_image("a", "t")
    await client.ask("DELETE", f"/v2/a/manifests/{digest}")
    flags = ["--root", str(tmp_path / "root"), "--grace", "0s"]
    code, output, _ = await sampan("gc", "--dry-run", *flags)
    assert code == 0
    assert f"link a@{digest_of(b'layer')}\n" in output
    assert output.endswith("Would reclaim: 7B in 2 blobs\n")
    assert (await client.get(f"/v2/a/blobs/{digest_of(b'layer')}")).status == 200
    await sampan("gc", *flags)
    await sampan("gc", *flags)
    assert (await client.get(f"/v2/a/blobs/{digest_of(b'layer')}")).status == 404
    assert not list((tmp_path / "root" / "blobs").glob("*/*/*"))
    code, _, errors = await sampan("gc")
    assert (code, "--root" in errors) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "--root", "x", "--listen", "nonsense"], "HOST:PORT"),
        (["serve", "--root", "x", "--tls-cert", "y"], "--tls-key"),
        (["serve"], "--root"),
        (["serve", "--config", "nothing"], "nothing"),
    ],
)
async def test_serving_what_can_not_be(sampan, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, _, errors = await sampan(*words)
    assert (code, message in errors) == (1, True)
