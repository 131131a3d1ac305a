"""The configuration file, and the service that is made from it."""

from __future__ import annotations

import ssl

import aiohttp
import bcrypt
import pytest

from rig.certificates import self_signed
from rig.registry import Client
from sampan.errors import InvalidArgument
from sampan.registry.config import RegistryConfig, load, parse_address
from sampan.registry.service import RegistryService


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        (":5000", ("", 5000)),
        ("[::1]:80", ("::1", 80)),
        ("host:0", ("host", 0)),
    ],
)
def test_addresses(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "5000", "host", "host:", "host:x", "host:70000"])
def test_addresses_that_are_none(text):
    with pytest.raises(InvalidArgument, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen = 5", "listen"),
        ("unknown = 1", "unknown"),
        ("[auth]\nmethod = 'magic'", "method"),
        ("[tls]\nkey = 'x'", "certificate"),
        ("nonsense", "config.toml"),
    ],
)
def test_files_that_are_wrong(tmp_path, text, words):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(InvalidArgument, match=words):
        load(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[auth]\nhtpasswd = 'none'", "none"),
        ("[auth]\nmethod = 'basic'", "htpasswd"),
        ("[[rules]]\nrepositories=['a']\nusers=['b']\nactions=['fly']", "fly"),
        ("[tls]\ncertificate = 'none'\nkey = 'none'", "none"),
    ],
)
async def test_services_that_can_not_be(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(InvalidArgument, match=words):
        RegistryService(load(tmp_path / "config.toml"), tmp_path / "root")


async def test_a_registry_needs_a_place_for_its_data():
    with pytest.raises(InvalidArgument, match="--root"):
        RegistryService(RegistryConfig(), None)


async def test_replicas_need_a_key_that_they_share(tmp_path):
    pytest.importorskip("obstore")
    (tmp_path / "users").write_text(f"a:{bcrypt.hashpw(b'b', bcrypt.gensalt(4)).decode()}\n")
    (tmp_path / "config.toml").write_text(f"[auth]\nhtpasswd = '{tmp_path}/users'\n[storage.s3]\nbucket = 'bucket'\n")
    with pytest.raises(InvalidArgument, match="key"):
        RegistryService(load(tmp_path / "config.toml"), None)


async def test_a_whole_service(tmp_path):
    self_signed(tmp_path / "ca.crt", tmp_path / "key.pem")
    (tmp_path / "users").write_text(f"user:{bcrypt.hashpw(b'pass', bcrypt.gensalt(4)).decode()}\n")
    (tmp_path / "config.toml").write_text(
        f"""
        listen = "127.0.0.1:0"
        realm = "https://elsewhere/token"
        [tls]
        certificate = "{tmp_path}/ca.crt"
        key = "{tmp_path}/key.pem"
        [auth]
        htpasswd = "{tmp_path}/users"
        [gc]
        every = 0.05
        """
    )
    service = RegistryService(load(tmp_path / "config.toml"), tmp_path / "root")
    await service.start()
    trust = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        client = Client(f"https://127.0.0.1:{service.address[1]}", session)
        answer = await client.get("/v2/")
        assert answer.status == 401
        assert 'realm="https://elsewhere/token"' in answer.headers["WWW-Authenticate"]
        client.headers["Authorization"] = aiohttp.encode_basic_auth("user", "pass")
        assert (await client.get("/v2/")).status == 200
        await client.put_image("a", "t")
        service._reload()
        assert (await client.get("/v2/a/tags/list")).json()["tags"] == ["t"]
    assert (tmp_path / "root" / "token-key.pem").exists()
    await service.stop(1)


async def test_read_only(tmp_path):
    service = RegistryService(RegistryConfig(listen="127.0.0.1:0", read_only=True), tmp_path / "root")
    await service.start()
    async with aiohttp.ClientSession() as session:
        client = Client(f"http://127.0.0.1:{service.address[1]}", session)
        assert (await client.get("/v2/")).status == 200
        assert (await client.get("/v2/_catalog")).json() == {"repositories": []}
        for method, path in (("POST", "/v2/a/blobs/uploads/"), ("DELETE", "/v2/a/manifests/t")):
            answer = await client.ask(method, path, b"")
            assert (answer.status, answer.code) == (403, "DENIED")
    await service.stop(1)


async def test_the_access_log(client, caplog):
    with caplog.at_level("INFO", "sampan.registry.access"):
        await client.get("/v2/")
    assert any('127.0.0.1 - "GET /v2/" 200 2 ' in record.getMessage() for record in caplog.records)
