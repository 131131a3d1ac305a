"""The registry as a running service: its parts put together, listening, collecting now and then, ending in good order.

RegistryConfig -> storage -> Registry -> authenticator, token service -> RegistryApp -> HttpServer (TLS)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from sampan.errors import InvalidArgument, SampanError
from sampan.http import HttpServer, Request
from sampan.registry.app import Extra, RegistryApp
from sampan.registry.auth import Access, Authenticator, Everyone
from sampan.registry.auth.passwords import Passwords
from sampan.registry.auth.policy import Basic, Policy, Rule
from sampan.registry.auth.tokens import Bearer, TokenService, load_key
from sampan.registry.config import RegistryConfig, parse_address
from sampan.registry.gc import Collection
from sampan.registry.repositories import YOUNG, Registry
from sampan.registry.storage import Storage
from sampan.registry.storage.filesystem import FileStorage

__all__ = ["RegistryService", "make_storage"]

log = logging.getLogger(__name__)
_GRACE = 10.0


def make_storage(config: RegistryConfig, root: Path | None) -> Storage:
    """The storage that a configuration names, else the folder `root`. Raises InvalidArgument, OSError, Unavailable."""
    if config.storage.s3 is not None:
        from sampan.registry.storage.s3 import S3Settings, S3Storage

        given = config.storage.s3
        return S3Storage(S3Settings(**{name: getattr(given, name) for name in given.__struct_fields__}))
    if root is None:
        raise InvalidArgument("say where the registry keeps its data: --root DIR, or [storage.s3] in the configuration")
    return FileStorage(root)


class RegistryService:
    """One registry, serving. States: made, then running until `stop`.

    service = RegistryService(load(path), root)
    await service.start()
    await service.run()          until SIGTERM or SIGINT
    """

    def __init__(self, config: RegistryConfig, root: Path | None) -> None:
        """Raises InvalidArgument, OSError, Unavailable."""
        self._config = config
        self._root = root
        self.registry = Registry(make_storage(config, root), min(YOUNG, config.gc.grace / 4))
        authenticator, extras = _authentication(config, root)
        if config.read_only:
            authenticator = _ReadOnly(authenticator)
        self._app = RegistryApp(self.registry, authenticator, extras)
        self._tls = _tls_context(config)
        self._server: HttpServer | None = None
        self._collecting: asyncio.Task[None] | None = None
        self.address: tuple[str, int] = ("", 0)

    async def start(self) -> None:
        """Listen. Raises OSError, InvalidArgument."""
        sock = _bound(*parse_address(self._config.listen))
        self.address = sock.getsockname()[:2]
        self._server = HttpServer(self._app.handle, head_timeout=self._config.limits.head_timeout)
        await self._server.serve_socket(sock, self._tls)
        if self._config.gc.every > 0:
            self._collecting = asyncio.create_task(self._collect_for_ever())
        log.info("listening on %s:%d%s", *self.address, " (TLS)" if self._tls else "")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reads the certificate again."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await ended.wait()
        await self.stop()

    async def stop(self, grace: float = _GRACE) -> None:
        """Take no more requests, give those in flight `grace` seconds, and end."""
        if self._collecting is not None:
            self._collecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collecting
        if self._server is not None:
            await self._server.close(grace)
        await self.registry.storage.close()

    def collection(self, dry: bool = False) -> Collection:
        """A collection as the configuration wants it."""
        gc = self._config.gc
        return Collection(self.registry, grace=gc.grace, upload_grace=gc.upload_grace, untagged=gc.untagged, dry=dry)

    async def _collect_for_ever(self) -> None:
        while True:
            # Replicas that start together should not all try at the same moment.
            await asyncio.sleep(self._config.gc.every * random.uniform(0.9, 1.1))
            try:
                report = await self.collection().run()
                log.info("collected %d blobs, %d bytes", len(report.blobs), report.size)
            except (SampanError, OSError) as error:
                log.warning("collection: %s", error)

    def _reload(self) -> None:
        if self._tls is None or self._config.tls is None:
            return
        try:
            self._tls.load_cert_chain(self._config.tls.certificate, self._config.tls.key)
            log.info("the certificate was read again")
        except (OSError, ssl.SSLError) as error:
            log.error("the certificate could not be read again: %s", error)


class _ReadOnly:
    """Takes the rights to change anything away."""

    def __init__(self, inner: Authenticator) -> None:
        self._inner = inner
        self.challenge, self.closed = inner.challenge, inner.closed

    async def authenticate(self, request: Request) -> Access:
        """See Authenticator."""
        return _ReadOnlyAccess(await self._inner.authenticate(request))

    def may_ever(self, access: Access, name: str, action: str) -> bool:
        """See Authenticator."""
        return action not in ("push", "delete") and self._inner.may_ever(access, name, action)


class _ReadOnlyAccess:
    def __init__(self, inner: Access) -> None:
        self._inner = inner
        self.sees = inner.sees

    @property
    def user(self) -> str:
        return self._inner.user

    def allows(self, name: str, action: str) -> bool:
        return action not in ("push", "delete") and self._inner.allows(name, action)


def _authentication(config: RegistryConfig, root: Path | None) -> tuple[Authenticator, Mapping[str, Extra]]:
    rules = tuple(Rule(tuple(e.repositories), tuple(e.users), tuple(e.actions)) for e in config.rules)
    if config.auth is None and not rules:
        return Everyone(), {}
    auth = config.auth
    passwords = Passwords(Path(auth.htpasswd)) if auth is not None and auth.htpasswd else None
    policy = Policy(rules)
    if auth is not None and auth.method == "basic":
        if passwords is None:
            raise InvalidArgument("[auth] method basic needs an htpasswd file")
        return Basic(passwords, policy), {}
    tokens = _token_service(config, root, passwords, policy)
    return Bearer(tokens, passwords, config.realm), {"/token": tokens.handle}


def _token_service(
    config: RegistryConfig, root: Path | None, passwords: Passwords | None, policy: Policy
) -> TokenService:
    key = config.auth.key if config.auth else ""
    if not key and (root is None or config.storage.s3 is not None):
        raise InvalidArgument("[auth] needs a key that all replicas share: key = FILE")
    path = Path(key) if key else (root or Path()) / "token-key.pem"
    if config.auth is None:
        return TokenService(load_key(path), passwords, policy)
    return TokenService(load_key(path), passwords, policy, config.auth.service, config.auth.lifetime)


def _tls_context(config: RegistryConfig) -> ssl.SSLContext | None:
    if config.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(config.tls.certificate, config.tls.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"can't use the certificate {config.tls.certificate}: {error}") from None
    return context


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if host else 0)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
