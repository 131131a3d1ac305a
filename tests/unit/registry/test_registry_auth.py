"""Accounts, rules, tokens: the server's side, and the client's side against it."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bcrypt
import jwt
import pytest

from rig.registry import Client, served
from sampan.errors import InvalidArgument, NotFound, Unauthenticated
from sampan.http import HttpServer, Request, Response
from sampan.images.remote import Credentials, Remote, RemoteSettings
from sampan.images.remote.auth import parse_challenges
from sampan.oci.reference import Reference
from sampan.registry.app import RegistryApp
from sampan.registry.auth.passwords import Passwords
from sampan.registry.auth.policy import Basic, Policy, Rule
from sampan.registry.auth.tokens import Bearer, TokenService, load_key

POLICY = Policy(
    (
        Rule(("**",), ("admin",), ("pull", "push", "delete")),
        Rule(("team/*",), ("writer",), ("pull", "push")),
        Rule(("team/*", "shared"), ("*",), ("pull",)),
        Rule(("public/**",), ("anonymous",), ("pull",)),
    )
)
QUICK = RemoteSettings(backoff=0.001, attempts=2)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def htpasswd(tmp_path):
    path = tmp_path / "htpasswd"
    hashed = {name: bcrypt.hashpw(f"{name}-pw".encode(), bcrypt.gensalt(4)) for name in ("admin", "writer", "reader")}
    path.write_text("# users\n\n" + "".join(f"{name}:{value.decode()}\n" for name, value in hashed.items()))
    return path


@pytest.fixture
def passwords(htpasswd) -> Passwords:
    return Passwords(htpasswd)


@pytest.fixture
def tokens(tmp_path, passwords) -> TokenService:
    return TokenService(load_key(tmp_path / "key.pem"), passwords, POLICY)


@asynccontextmanager
async def with_tokens(registry, tokens: TokenService, passwords: Passwords) -> AsyncIterator[Client]:
    app = RegistryApp(registry, Bearer(tokens, passwords), {"/token": tokens.handle})
    async with served(registry, app=app) as client:
        yield client


@pytest.fixture
async def secured(registry, tokens, passwords) -> AsyncIterator[Client]:
    async with with_tokens(registry, tokens, passwords) as client:
        yield client


async def token(client: Client, user: str, *scopes: str, **more: str) -> str:
    query = "&".join([*(f"scope={scope}" for scope in scopes), *(f"{key}={value}" for key, value in more.items())])
    fields = {"Authorization": basic(user, f"{user}-pw")} if user else {}
    answer = await client.get(f"/token?service=sampan-registry&{query}", **fields)
    assert answer.status == 200, answer.body
    return str(answer.json()["token"])


async def fill(registry, *names: str) -> None:
    """Images in a registry that asks nobody for credentials."""
    async with served(registry) as client:
        for name in names:
            await client.put_image(name, "t")


# rules


@pytest.mark.parametrize(
    ("user", "name", "allowed"),
    [
        ("admin", "any/thing", ["pull", "push", "delete"]),
        ("writer", "team/x", ["pull", "push"]),
        ("writer", "team/x/y", []),
        ("writer", "other", []),
        ("reader", "team/x", ["pull"]),
        ("reader", "shared", ["pull"]),
        ("", "team/x", []),
        ("", "public/a", ["pull"]),
        ("", "public/a/b", ["pull"]),
        ("reader", "public/a", ["pull"]),
        ("", "publicity", []),
    ],
)
def test_rules(user, name, allowed):
    assert POLICY.allowed(user, name, ["pull", "push", "delete"]) == allowed
    assert POLICY.allowed(user, name, ["*"]) == allowed


def test_without_rules_whoever_logs_in_may_do_everything():
    assert Policy().allowed("x", "a", ["*"]) == ["pull", "push", "delete"]
    assert Policy().allowed("", "a", ["*"]) == []


def test_dots_in_patterns_are_dots():
    policy = Policy((Rule(("a.b",), ("*",), ("pull",)),))
    assert policy.allows("x", "a.b", "pull")
    assert not policy.allows("x", "axb", "pull")


def test_an_unknown_action_is_an_error():
    with pytest.raises(InvalidArgument, match="fly"):
        Rule(("a",), ("b",), ("fly",))


# passwords


async def test_passwords(passwords):
    assert await passwords.check("admin", "admin-pw")
    assert not await passwords.check("admin", "other")
    assert not await passwords.check("nobody", "admin-pw")
    assert not await passwords.check("", "")
    assert not await passwords.check("admin", "x" * 1000)


async def test_what_passed_is_not_hashed_again(passwords, monkeypatch):
    assert await passwords.check("admin", "admin-pw")
    monkeypatch.setattr("sampan.registry.auth.passwords._fits", lambda *_: pytest.fail("hashed again"))
    assert await passwords.check("admin", "admin-pw")


async def test_a_changed_password_counts_at_once(htpasswd, passwords):
    assert await passwords.check("admin", "admin-pw")
    htpasswd.write_text(f"admin:{bcrypt.hashpw(b'new', bcrypt.gensalt(4)).decode()}\n")
    os.utime(htpasswd, ns=(1, 1))
    assert not await passwords.check("admin", "admin-pw")
    assert await passwords.check("admin", "new")
    assert not passwords.knows("reader")


async def test_a_broken_file_leaves_the_users_as_they_were(htpasswd, passwords):
    htpasswd.write_text("nonsense\n")
    os.utime(htpasswd, ns=(1, 1))
    assert await passwords.check("admin", "admin-pw")


@pytest.mark.parametrize("line", ["nonsense", "a:plain", "a:$apr1$x$y", ":$2b$04$x"])
def test_lines_that_are_no_bcrypt_hashes(tmp_path, line):
    (tmp_path / "x").write_text(line + "\n")
    with pytest.raises(InvalidArgument, match="line 1"):
        Passwords(tmp_path / "x")


# basic


async def test_basic_authentication(registry, passwords):
    await fill(registry, "team/x", "public/a")
    async with served(registry, Basic(passwords, POLICY)) as client:
        answer = await client.get("/v2/")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="')
        assert (await client.get("/v2/", Authorization=basic("reader", "reader-pw"))).status == 200
        assert (await client.get("/v2/", Authorization=basic("reader", "no"))).status == 401
        assert (await client.get("/v2/", Authorization="Basic !!!")).status == 401
        assert (await client.get("/v2/public/a/manifests/t")).status == 200
        assert (await client.get("/v2/team/x/manifests/t")).status == 401
        reader = {"Authorization": basic("reader", "reader-pw")}
        assert (await client.get("/v2/team/x/manifests/t", **reader)).status == 200
        answer = await client.ask("POST", "/v2/team/x/blobs/uploads/", b"", **reader)
        assert (answer.status, answer.code) == (403, "DENIED")
        answer = await client.ask("DELETE", "/v2/team/x/manifests/t", **reader)
        assert (answer.status, answer.code) == (403, "DENIED")
        catalog = await client.get("/v2/_catalog", **reader)
        assert catalog.json() == {"repositories": ["public/a", "team/x"]}
        assert (await client.get("/v2/_catalog")).json() == {"repositories": ["public/a"]}
        assert (await client.get("/health")).status == 200


# tokens


async def test_the_challenge_says_where_and_for_what(secured):
    for method, path, scope in (
        ("GET", "/v2/a/manifests/x", "repository:a:pull"),
        ("PUT", "/v2/a/manifests/x", "repository:a:pull,push"),
        ("DELETE", "/v2/a/manifests/x", "repository:a:delete"),
        ("POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"),
        ("GET", "/v2/_catalog", ""),
    ):
        answer = await secured.ask(method, path, b"" if method != "GET" else None)
        if not scope:
            assert answer.status == 200
            continue
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        challenge = parse_challenges([answer.headers["WWW-Authenticate"]])[0]
        assert challenge.scheme == "bearer"
        expected = {"realm": f"{secured.base}/token", "service": "sampan-registry", "scope": scope}
        assert challenge.parameters == expected


async def test_a_token_gives_what_the_rules_give_of_what_was_asked(secured, registry, tokens):
    await fill(registry, "team/x")
    given = tokens.read(await token(secured, "writer", "repository:team/x:pull,push,delete", "repository:other:pull"))
    assert given is not None
    assert given.granted == {"team/x": frozenset({"pull", "push"})}
    bearer = {"Authorization": f"Bearer {await token(secured, 'writer', 'repository:team/x:pull')}"}
    assert (await secured.get("/v2/team/x/manifests/t", **bearer)).status == 200
    answer = await secured.ask("POST", "/v2/team/x/blobs/uploads/", b"", **bearer)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    answer = await secured.ask("DELETE", "/v2/team/x/manifests/t", **bearer)
    assert (answer.status, answer.code) == (403, "DENIED")


async def test_anonymous_tokens(secured, registry):
    await fill(registry, "public/a", "team/x")
    text = await token(secured, "", "repository:public/a:pull", "repository:team/x:pull")
    bearer = {"Authorization": f"Bearer {text}"}
    assert (await secured.get("/v2/public/a/manifests/t", **bearer)).status == 200
    answer = await secured.get("/v2/team/x/manifests/t", **bearer)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert (await secured.get("/v2/", **bearer)).status == 200
    assert (await secured.get("/v2/")).status == 401


async def test_a_token_for_the_catalog_shows_what_its_user_may_read_and_opens_nothing(secured, registry):
    await fill(registry, "public/a", "secret", "team/x")
    bearer = {"Authorization": f"Bearer {await token(secured, 'reader', 'registry:catalog:*')}"}
    assert (await secured.get("/v2/_catalog", **bearer)).json() == {"repositories": ["public/a", "team/x"]}
    for name in ("secret", "team/x"):
        assert (await secured.get(f"/v2/{name}/manifests/t", **bearer)).status in (401, 403)


async def test_wrong_passwords_get_no_token(secured):
    answer = await secured.get("/token?scope=repository:a:pull", Authorization=basic("admin", "no"))
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


async def test_a_mount_needs_the_right_to_read_the_source(secured, registry):
    await fill(registry, "team/x", "secret")
    from sampan.oci.digest import digest_of

    digest = digest_of(b"layer")
    text = await token(
        secured, "writer", "repository:team/y:pull,push", "repository:secret:pull", "repository:team/x:pull"
    )
    bearer = {"Authorization": f"Bearer {text}"}
    answer = await secured.ask("POST", f"/v2/team/y/blobs/uploads/?mount={digest}&from=secret", b"", **bearer)
    assert answer.status == 202
    answer = await secured.ask("POST", f"/v2/team/y/blobs/uploads/?mount={digest}&from=team/x", b"", **bearer)
    assert answer.status == 201


async def test_tokens_that_are_not_good(secured, tokens, tmp_path):
    other = load_key(tmp_path / "other.pem")
    now = int(time.time())
    good = {"iss": "sampan-registry", "aud": "sampan-registry", "sub": "admin", "exp": now + 100, "access": []}
    bad = [
        jwt.encode(good, other, "ES256"),
        jwt.encode(good, None, "none"),
        jwt.encode({**good, "exp": now - 100}, tokens._key, "ES256"),
        jwt.encode({**good, "aud": "refresh"}, tokens._key, "ES256"),
        jwt.encode({**good, "iss": "somebody"}, tokens._key, "ES256"),
        "nonsense",
        "",
    ]
    for text in bad:
        answer = await secured.get("/v2/", Authorization=f"Bearer {text}")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert (await secured.get("/v2/", Authorization=f"Bearer {jwt.encode(good, tokens._key, 'ES256')}")).status == 200


async def test_refresh_tokens(secured, htpasswd):
    answer = await secured.get(
        "/token?offline_token=true&service=sampan-registry", Authorization=basic("writer", "writer-pw")
    )
    refresh = answer.json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": "repository:team/x:push"}
    answer = await secured.ask("POST", "/token", form)
    assert answer.status == 200
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await secured.ask("POST", "/v2/team/x/blobs/uploads/", b"", **bearer)).status == 202
    assert (await secured.get("/v2/", Authorization=f"Bearer {refresh}")).status == 401
    htpasswd.write_text("")
    os.utime(htpasswd, ns=(1, 1))
    assert (await secured.ask("POST", "/token", form)).status == 401


async def test_passwords_by_form(secured):
    form = {"grant_type": "password", "username": "admin", "password": "admin-pw", "scope": "repository:a:pull"}
    assert (await secured.ask("POST", "/token", form)).status == 200
    assert (await secured.ask("POST", "/token", {**form, "password": "no"})).status == 401


def test_the_key_is_made_once(tmp_path):
    first, second = load_key(tmp_path / "k"), load_key(tmp_path / "k")
    assert first.private_numbers() == second.private_numbers()
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    (tmp_path / "bad").write_text("nonsense")
    with pytest.raises(InvalidArgument):
        load_key(tmp_path / "bad")


# the client's side


def client_for(remote: Remote, client: Client, name: str, user: str = "", password: str = ""):
    reference = Reference.parse(f"{client.base.removeprefix('http://')}/{name}")
    return remote.repository(reference, Credentials(user, password or f"{user}-pw") if user else None)


async def test_our_client_gets_tokens_and_basic_alike(registry, secured, passwords):
    await fill(registry, "team/x", "public/a")
    async with served(registry, Basic(passwords, POLICY)) as plain, Remote(QUICK) as remote:
        for server in (secured, plain):
            assert await client_for(remote, server, "team/x", "reader").tags() == ["t"]
            assert await client_for(remote, server, "public/a").tags() == ["t"]
            assert await client_for(remote, server, "team/x", "reader").catalog() == ["public/a", "team/x"]
            with pytest.raises(Unauthenticated):
                await client_for(remote, server, "team/x").tags()
            with pytest.raises(Unauthenticated):
                await client_for(remote, server, "team/x", "reader", "wrong").tags()
            with pytest.raises(NotFound):
                await client_for(remote, server, "team/nothing", "admin").tags()


async def test_logging_in(registry, secured, passwords):
    domain = secured.base.removeprefix("http://")
    async with Remote(QUICK) as remote:
        refresh = await remote.log_in(domain, Credentials("writer", "writer-pw"))
        assert refresh
        with pytest.raises(Unauthenticated):
            await remote.log_in(domain, Credentials("writer", "no"))
        await fill(registry, "team/x")
        reference = Reference.parse(f"{domain}/team/x")
        assert await remote.repository(reference, Credentials(identity_token=refresh)).tags() == ["t"]
    async with served(registry, Basic(passwords, POLICY)) as plain, Remote(QUICK) as remote:
        domain = plain.base.removeprefix("http://")
        assert await remote.log_in(domain, Credentials("writer", "writer-pw")) == ""
        with pytest.raises(Unauthenticated):
            await remote.log_in(domain, Credentials("writer", "no"))


async def test_a_token_that_expires_is_renewed(registry, tokens, passwords):
    """The server forgets every token but the newest; each request after the first meets an expired one."""
    await fill(registry, "team/x")
    asked = 0
    app = RegistryApp(registry, Bearer(tokens, passwords), {"/token": tokens.handle})

    async def forgetful(request: Request) -> Response:
        nonlocal asked, fresh
        if request.path == "/token":
            asked += 1
            fresh = True
        elif request.headers.get("authorization", "").startswith("Bearer"):
            if not fresh:
                challenge = {"WWW-Authenticate": Bearer(tokens, passwords).challenge(request, "team/x", "pull")}
                return Response(401, challenge)
            fresh = False
        return await app.handle(request)

    fresh = False
    server = HttpServer(forgetful)
    from rig.registry import bound

    sock = bound()
    await server.serve_socket(sock)
    async with Remote(QUICK) as remote:
        reference = Reference.parse(f"127.0.0.1:{sock.getsockname()[1]}/team/x")
        client = remote.repository(reference, Credentials("reader", "reader-pw"))
        for _ in range(3):
            assert await client.tags() == ["t"]
    await server.close(0)
    assert asked >= 3


async def test_one_users_tokens_are_not_anothers(registry, secured):
    await fill(registry, "team/x")
    async with Remote(QUICK) as remote:
        assert await client_for(remote, secured, "team/x", "reader").tags() == ["t"]
        with pytest.raises(Unauthenticated):
            await client_for(remote, secured, "team/x").tags()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (['Basic realm="a, b"'], [("basic", {"realm": "a, b"})]),
        (
            ['Bearer realm="https://x/token",service="s",scope="repository:a:pull,push"'],
            [("bearer", {"realm": "https://x/token", "service": "s", "scope": "repository:a:pull,push"})],
        ),
        (["bearer realm=plain, service=s"], [("bearer", {"realm": "plain", "service": "s"})]),
        (['Basic realm="x", Bearer realm="y"'], [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        (['Basic realm="x"', 'Bearer realm="y"'], [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        (["Negotiate"], []),
        ([], []),
    ],
)
def test_challenges(fields, expected):
    assert [(challenge.scheme, challenge.parameters) for challenge in parse_challenges(fields)] == expected


async def test_many_requests_at_once_share_one_token(registry, secured, tokens, monkeypatch):
    await fill(registry, "team/x")
    answered = []
    answer = tokens._answer
    monkeypatch.setattr(tokens, "_answer", lambda *given: answered.append(given) or answer(*given))
    async with Remote(QUICK) as remote:
        client = client_for(remote, secured, "team/x", "reader")
        results = await asyncio.gather(*(client.tags() for _ in range(20)))
    assert results == [["t"]] * 20
    assert len(answered) <= 2
