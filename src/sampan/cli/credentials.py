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

    config = cli.config.values
    helper = config.get("credHelpers", {}).get(server) or config.get("credsStore", "")
    if helper:
        return _ask(helper, server)
    for key, entry in config.get("auths", {}).items():
        if key == server or _host(key) == server:
            return _stored(entry, server)
    return AuthConfig()


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
    import subprocess

    from sampan.wire.distribution import AuthConfig

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=server.encode(), capture_output=True, check=False)
    except OSError as error:
        raise Unavailable(f"can't run {program}: {error.strerror}") from None
    if done.returncode:
        if b"credentials not found" in done.stdout:
            return AuthConfig()
        raise Unavailable(f"{program}: {done.stdout.decode(errors='replace').strip()}")
    answer = json.loads(done.stdout)
    if answer.get("Username") == "<token>":
        return AuthConfig(identity_token=answer["Secret"], server_address=server)
    return AuthConfig(username=answer["Username"], password=answer["Secret"], server_address=server)
