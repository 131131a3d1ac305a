"""Registries as processes of their own beside an engine, in its network: Debian's docker-registry, and ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import bcrypt

from rig.certificates import self_signed
from rig.engines import Engine, peer_binary

USER, PASSWORD = "user", "secret"
DEBIAN = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""
OURS = """
listen = "{address}"
[tls]
certificate = "{folder}/ca.crt"
key = "{folder}/key.pem"
[auth]
htpasswd = "{folder}/htpasswd"
method = "token"
[[rules]]
repositories = ["**"]
users = ["{user}"]
actions = ["pull", "push", "delete"]
[[rules]]
repositories = ["public/**"]
users = ["anonymous"]
actions = ["pull"]
"""


class ServedRegistry:
    """A registry's process in an engine's network; `address` is host:port as the engine names it."""

    def __init__(self, engine: Engine, folder: Path, address: str) -> None:
        self.engine, self.folder, self.address = engine, folder, address
        folder.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [*self.engine.network.prefix, *self.command()]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        port = self.address.rpartition(":")[2]
        probe = [*self.engine.network.prefix, "bash", "-c", f"</dev/tcp/127.0.0.1/{port}"]
        for _ in range(200):
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)


class DebianRegistry(ServedRegistry):
    """docker-registry on all addresses, without TLS and accounts."""

    def command(self) -> list[str]:
        configuration = self.folder / "config.yml"
        port = self.address.rpartition(":")[2]
        configuration.write_text(DEBIAN.format(root=self.folder / "root", address=f":{port}"))
        return [str(peer_binary("docker-registry")), "serve", str(configuration)]


class OurRegistry(ServedRegistry):
    """`sampan registry serve` with TLS and token authentication for one user; everybody may pull from public/."""

    def command(self) -> list[str]:
        configuration = self.folder / "config.toml"
        if not configuration.exists():
            self_signed(self.folder / "ca.crt", self.folder / "key.pem")
            hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
            (self.folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
            configuration.write_text(OURS.format(address=self.address, folder=self.folder, user=USER))
        serve = [sys.executable, "-m", "sampan.cli.main", "registry", "serve"]
        return [*serve, "--config", str(configuration), "--root", str(self.folder / "data")]
