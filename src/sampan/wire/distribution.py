"""Descriptors and platforms of the OCI image specification as the Engine API shows them, and registry credentials.

Engine API 1.51, definitions OCIDescriptor, OCIPlatform, DistributionInspect, AuthConfig.
"""

# ruff: noqa: RUF012

from __future__ import annotations

from sampan.wire.base import Document, Int, always, always_new, pascal


class Platform(Document, kw_only=True, rename={"os_version": "os.version", "os_features": "os.features"}):
    """An OCI platform."""

    architecture: str = always("")
    os: str = always("")
    os_version: str = ""
    os_features: list[str] = []
    variant: str = ""


class Descriptor(Document, kw_only=True, rename={"media_type": "mediaType", "artifact_type": "artifactType"}):
    """An OCI descriptor; `data` is base64."""

    media_type: str = always("")
    digest: str = always("")
    size: Int = always(0)
    urls: list[str] = []
    annotations: dict[str, str] = {}
    data: str = ""
    platform: Platform | None = None
    artifact_type: str = ""


class DistributionInspect(Document, kw_only=True, rename=pascal()):
    """Answer of GET /distribution/{name}/json."""

    descriptor: Descriptor = always_new(Descriptor)
    platforms: list[Platform] | None = always(None)


class AuthConfig(
    Document,
    kw_only=True,
    rename={
        "server_address": "serveraddress",
        "identity_token": "identitytoken",
        "registry_token": "registrytoken",
    },
):
    """Credentials for a registry: body of POST /auth, and header X-Registry-Auth in base64url."""

    username: str = ""
    password: str = ""
    auth: str = ""
    email: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""


class AuthResponse(Document, kw_only=True, rename=pascal()):
    """Answer of POST /auth."""

    identity_token: str = always("")
    status: str = always("")
