"""Where a registry is, and how it is spoken to.

docker.io           mirrors in their order, then https://registry-1.docker.io
any other           https://<domain>; where it may be insecure: https with any certificate, then http
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sampan.errors import InvalidArgument
from sampan.images.remote.settings import RemoteSettings
from sampan.oci.reference import DEFAULT_DOMAIN

__all__ = ["HUB", "Endpoint", "endpoints_of", "tls_context"]

HUB = "https://registry-1.docker.io"


@dataclass(frozen=True)
class Endpoint:
    """A place that answers for a registry. `verified` False takes any certificate."""

    base: str
    host: str
    verified: bool = True
    mirror: bool = False


def endpoints_of(domain: str, settings: RemoteSettings) -> list[Endpoint]:
    """The places to try for a registry, first to last."""
    if domain == DEFAULT_DOMAIN:
        mirrors = [found for mirror in settings.mirrors for found in _mirror(mirror, settings)]
        return [*mirrors, Endpoint(HUB, urlsplit(HUB).netloc)]
    if settings.is_insecure(domain):
        return [Endpoint(f"https://{domain}", domain, verified=False), Endpoint(f"http://{domain}", domain)]
    return [Endpoint(f"https://{domain}", domain)]


def _mirror(url: str, settings: RemoteSettings) -> Iterable[Endpoint]:
    text = url if "://" in url else f"https://{url}"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidArgument(f"invalid mirror {url!r}: it is a URL, such as https://mirror.example.com")
    verified = not settings.is_insecure(parts.netloc)
    yield Endpoint(text.rstrip("/"), parts.netloc, verified=verified, mirror=True)


def tls_context(endpoint: Endpoint, folders: Sequence[Path], beyond: str = "") -> ssl.SSLContext:
    """The TLS settings for an endpoint: the system's authorities, and what the folders have for its host.

    `beyond` is a host that the endpoint leads to, when it is another: what the folders have for that counts too.

    Raises InvalidArgument for a folder that can't be used (a `.cert` without its `.key`, say).
    """
    context = ssl.create_default_context()
    if not endpoint.verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for host in dict.fromkeys((endpoint.host, beyond or endpoint.host)):
        for folder in folders:
            _add_folder(context, folder / host)
    return context


def _add_folder(context: ssl.SSLContext, folder: Path) -> None:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    names = {file.name for file in files}
    for file in files:
        try:
            if file.suffix == ".crt":
                context.load_verify_locations(file)
            elif file.suffix == ".cert":
                context.load_cert_chain(file, _partner(file, ".key", names))
            elif file.suffix == ".key":
                _partner(file, ".cert", names)
        except (ssl.SSLError, OSError) as error:
            raise InvalidArgument(f"can't use {file}: {error}") from None


def _partner(file: Path, suffix: str, names: set[str]) -> Path:
    partner = file.with_suffix(suffix)
    if partner.name not in names:
        raise InvalidArgument(f"missing {partner.name} beside {file}: a client certificate is a .cert with its .key")
    return partner
