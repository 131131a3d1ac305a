"""Registry credentials as docker keeps them: config.json's auths, or a helper program docker-credential-<name>.

X-Registry-Auth = base64url({"username", "password", "serveraddress"} or {"identitytoken", "serveraddress"})
"""

from __future__ import annotations

from sampan.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.context import Cli
    from sampan.wire.distribution import AuthConfig

HUB = "https://index.docker.io/v1/"


def auth_header(cli: Cli, registry: str) -> str:
    """Return the header's value for `registry`, "" where nothing is known of it. Raises Unavailable."""
    import base64

    from sampan.wire.codec import encode
    from sampan.wire.distribution import AuthConfig

    found = find(cli, HUB if registry == "docker.io" else registry)
    return base64.urlsafe_b64encode(encode(found)).decode() if found != AuthConfig() else ""


def find(cli: Cli, server: str) -> AuthConfig:
    """Return the credentials for `server`, empty where there are none. Raises Unavailable when a helper fails."""
    from sampan.wire.distribution import AuthConfig

    if helper := _helper(cli, server):
        return _ask(helper, server)
    for key, entry in cli.config.values.get("auths", {}).items():
        if key == server or _host(key) == server:
            return _stored(entry, server)
    return AuthConfig()


def store(cli: Cli, credentials: AuthConfig) -> str:
    """Keep credentials with the helper or in config.json; return what the user should know, "" for nothing."""
    server = credentials.server_address
    helper = _helper(cli, server)
    if helper:
        name, secret = credentials.username, credentials.password
        if credentials.identity_token:
            name, secret = "<token>", credentials.identity_token
        _call(helper, "store", {"ServerURL": server, "Username": name, "Secret": secret})
        return ""
    import base64

    both = f"{credentials.username}:{'' if credentials.identity_token else credentials.password}"
    entry = {"auth": base64.b64encode(both.encode()).decode()}
    if credentials.identity_token:
        entry["identitytoken"] = credentials.identity_token
    values = cli.config.values
    cli.config.save(values | {"auths": values.get("auths", {}) | {server: entry}})
    return f"WARNING! Your credentials are stored unencrypted in '{cli.config.path}/config.json'."


def forget(cli: Cli, server: str) -> bool:
    """Forget credentials; return whether there were any in config.json."""
    helper = _helper(cli, server)
    if helper:
        _call(helper, "erase", server)
    values = cli.config.values
    auths = dict(values.get("auths", {}))
    known = [key for key in auths if key == server or _host(key) == server]
    if known:
        cli.config.save(values | {"auths": {key: entry for key, entry in auths.items() if key not in known}})
    return bool(known) or bool(helper)


def _helper(cli: Cli, server: str) -> str:
    config = cli.config.values
    return str(config.get("credHelpers", {}).get(server) or config.get("credsStore", ""))


def _host(key: str) -> str:
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _stored(entry: dict[str, str], server: str) -> AuthConfig:
    import base64

    from sampan.wire.distribution import AuthConfig

    name, _, password = base64.b64decode(entry.get("auth", "")).decode("utf-8", "replace").partition(":")
    found = AuthConfig(
        username=name or entry.get("username", ""),
        password=password.rstrip("\0") or entry.get("password", ""),
        identity_token=entry.get("identitytoken", ""),
        registry_token=entry.get("registrytoken", ""),
    )
    if found != AuthConfig():
        found.server_address = server
    return found


def _ask(helper: str, server: str) -> AuthConfig:
    import json

    from sampan.wire.distribution import AuthConfig

    answer = json.loads(_call(helper, "get", server) or "{}")
    if not answer:
        return AuthConfig()
    if answer.get("Username") == "<token>":
        return AuthConfig(identity_token=answer["Secret"], server_address=server)
    return AuthConfig(username=answer["Username"], password=answer["Secret"], server_address=server)


def _call(helper: str, verb: str, document: object) -> str:
    """Return what the helper answers to `document`, "" where it knows nothing. Raises Unavailable."""
    import json
    import subprocess

    program = f"docker-credential-{helper}"
    text = document if isinstance(document, str) else json.dumps(document)
    try:
        done = subprocess.run([program, verb], input=text.encode(), capture_output=True, check=False)
    except OSError as error:
        raise Unavailable(f"can't run {program}: {error.strerror}") from None
    if done.returncode and b"credentials not found" not in done.stdout:
        raise Unavailable(f"{program}: {done.stdout.decode(errors='replace').strip()}")
    return "" if done.returncode else done.stdout.decode()
