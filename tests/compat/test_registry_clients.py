"""Real clients push to and pull from our registry, over TLS and with accounts.

The registry runs as a process of its own in the network of a genuine dockerd, where both are on loopback.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest

from rig import image
from rig.certificates import self_signed
from rig.docker_cli import DockerCli
from rig.engines import PEERS, Engine, peer_binary

ADDRESS = "127.0.0.1:5443"
USER = "user:secret"
CONFIG = """
listen = "{address}"
[tls]
certificate = "{folder}/ca.crt"
key = "{folder}/key.pem"
[auth]
htpasswd = "{folder}/htpasswd"
method = "{method}"
[[rules]]
repositories = ["**"]
users = ["user"]
actions = ["pull", "push", "delete"]
[[rules]]
repositories = ["public/**"]
users = ["anonymous"]
actions = ["pull"]
"""


@dataclass
class Rig:
    """The served registry, and how to run clients beside it."""

    prefix: list[str]
    folder: Path
    method: str
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        command = [sys.executable, "-m", "sampan.cli.main", "registry", "serve"]
        command += ["--config", str(self.folder / "config.toml"), "--root", str(self.folder / "data")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*self.prefix, *command], stdout=log, stderr=log)
        for _ in range(200):
            if self.run("bash", "-c", f"</dev/tcp/{ADDRESS.replace(':', '/')}").returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment, "HOME": str(self.folder)}
        done = subprocess.run(
            [*self.prefix, *command], capture_output=True, text=True, timeout=120, env=environment, cwd=self.folder
        )
        return done

    def ok(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-1000:]} {done.stderr[-1000:]}"
        return done.stdout

    def fails(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode != 0, f"{' '.join(command)} should have failed: {done.stdout[-1000:]}"
        return done.stdout + done.stderr

    def peer(self, *command: str) -> str:
        return self.ok(str(PEERS), "run", *command)

    def sampan(self, *words: str) -> str:
        return self.ok(sys.executable, "-m", "sampan.cli.main", "registry", *words)


@pytest.fixture(scope="module", params=["token", "basic"])
def rig(request, genuine: Engine, tmp_path_factory) -> Iterator[Rig]:
    folder = Path(f"/tmp/sampan-registry-{os.getpid()}-{request.param}")
    folder.mkdir()
    self_signed(folder / "ca.crt", folder / "key.pem")
    trusted = folder / "trusted"
    trusted.mkdir()
    shutil.copy(folder / "ca.crt", trusted)
    name, _, password = USER.partition(":")
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()
    (folder / "htpasswd").write_text(f"{name}:{hashed}\n")
    (folder / "config.toml").write_text(CONFIG.format(address=ADDRESS, folder=folder, method=request.param))
    (folder / "image.tar").write_bytes(image.busybox_archive("local/busybox:1"))
    made = Rig(genuine.network.prefix, folder, request.param)
    (folder / "docker").mkdir()
    (folder / "docker" / "config.json").write_text("{}")
    made.environment = {"SSL_CERT_FILE": str(folder / "ca.crt"), "DOCKER_CONFIG": str(folder / "docker")}
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


def archived(rig: Rig) -> str:
    return f"docker-archive:{rig.folder}/image.tar:local/busybox:1"


def trust(rig: Rig) -> str:
    return str(rig.folder / "trusted")


def test_skopeo(rig):
    for kind in ("v2s2", "oci"):
        target = f"docker://{ADDRESS}/skopeo/{kind}:1"
        rig.peer(
            "skopeo", "copy", "-f", kind, "--dest-creds", USER, "--dest-cert-dir", trust(rig), archived(rig), target
        )
        shown = json.loads(rig.peer("skopeo", "inspect", "--creds", USER, "--cert-dir", trust(rig), target))
        assert shown["Name"] == f"{ADDRESS}/skopeo/{kind}"
        listed = json.loads(rig.peer("skopeo", "list-tags", "--creds", USER, "--cert-dir", trust(rig), target[:-2]))
        assert listed["Tags"] == ["1"]
        rig.peer(
            "skopeo", "copy", "--src-creds", USER, "--src-cert-dir", trust(rig), target, f"dir:{rig.folder}/out-{kind}"
        )
        manifest = (rig.folder / f"out-{kind}" / "manifest.json").read_bytes()
        assert f"sha256:{image.sha256(manifest).removeprefix('sha256:')}" == shown["Digest"]
        rig.peer("skopeo", "delete", "--creds", USER, "--cert-dir", trust(rig), target)
        rig.fails(str(PEERS), "run", "skopeo", "inspect", "--creds", USER, "--cert-dir", trust(rig), target)


def test_skopeo_without_and_with_wrong_credentials(rig):
    target = f"docker://{ADDRESS}/public/busybox:1"
    rig.peer("skopeo", "copy", "--dest-creds", USER, "--dest-cert-dir", trust(rig), archived(rig), target)
    if rig.method == "token":  # These clients want credentials wherever basic authentication is offered.
        rig.peer("skopeo", "inspect", "--cert-dir", trust(rig), target)
    for more in ([], ["--dest-creds", "user:wrong"]):
        rig.fails(
            str(PEERS), "run", "skopeo", "copy", *more, "--dest-cert-dir", trust(rig), archived(rig), target + "2"
        )
    rig.peer(
        "skopeo",
        "login",
        "--authfile",
        f"{rig.folder}/auth",
        "-u",
        "user",
        "-p",
        "secret",
        "--cert-dir",
        trust(rig),
        ADDRESS,
    )
    said = rig.fails(
        str(PEERS), "run", "skopeo", "login", "--authfile", f"{rig.folder}/auth", "-u", "user", "-p", "wrong",
        "--cert-dir", trust(rig), ADDRESS,
    )  # fmt: skip
    assert "invalid username/password" in said


def test_podman_and_buildah(rig):
    store = ["--root", f"{rig.folder}/podman", "--runroot", f"{rig.folder}/podman-run", "--storage-driver", "vfs"]
    flags = ["--cert-dir", trust(rig), "--creds", USER]
    podman = lambda *words: rig.peer("podman", *store, *words)  # noqa: E731
    podman("load", "-i", f"{rig.folder}/image.tar")
    podman("push", *flags, "local/busybox:1", f"{ADDRESS}/podman/busybox:1")
    podman(
        "push",
        *flags,
        "--format",
        "oci",
        "--compression-format",
        "zstd",
        "local/busybox:1",
        f"{ADDRESS}/podman/busybox:zstd",
    )
    podman("rmi", "-a", "-f")
    for tag in ("1", "zstd"):
        podman("pull", *flags, f"{ADDRESS}/podman/busybox:{tag}")
    podman("manifest", "create", "many:1")
    podman("manifest", "add", *flags, "many:1", f"docker://{ADDRESS}/podman/busybox:1")
    podman("manifest", "push", "--all", *flags, "many:1", f"docker://{ADDRESS}/podman/many:1")
    buildah = lambda *words: rig.peer("buildah", *store, *words)  # noqa: E731
    buildah("push", *flags, f"{ADDRESS}/podman/busybox:1", f"docker://{ADDRESS}/buildah/busybox:1")
    buildah("rmi", "-a", "-f")
    buildah("pull", *flags, f"{ADDRESS}/buildah/busybox:1")


def test_crane(rig):
    crane = lambda *words: rig.ok(str(peer_binary("crane")), *words)  # noqa: E731
    crane("auth", "login", ADDRESS, "-u", "user", "-p", "secret")
    crane("push", f"{rig.folder}/image.tar", f"{ADDRESS}/crane/busybox:1")
    crane("copy", f"{ADDRESS}/crane/busybox:1", f"{ADDRESS}/crane/copied:1")
    crane("validate", "--remote", f"{ADDRESS}/crane/copied:1")
    crane("mutate", "--label", "a=b", "-t", f"{ADDRESS}/crane/busybox:2", f"{ADDRESS}/crane/busybox:1")
    entries = [word for tag in ("1", "2") for word in ("-m", f"{ADDRESS}/crane/busybox:{tag}")]
    crane("index", "append", *entries, "-t", f"{ADDRESS}/crane/index:1")
    assert crane("ls", f"{ADDRESS}/crane/busybox").split() == ["1", "2"]
    assert "crane/index" in crane("catalog", ADDRESS).split()
    crane("delete", crane("digest", "--full-ref", f"{ADDRESS}/crane/copied:1").strip())
    assert crane("ls", f"{ADDRESS}/crane/copied").split() == []


def test_oras(rig):
    flags = ["--ca-file", str(rig.folder / "ca.crt"), "-u", "user", "-p", "secret"]
    oras = lambda verb, *words: rig.ok(str(peer_binary("oras")), *verb.split(), *flags, *words)  # noqa: E731
    (rig.folder / "file.txt").write_text("hello")
    oras("push", f"{ADDRESS}/oras/thing:1", "file.txt")
    oras("attach", "--artifact-type", "application/x", f"{ADDRESS}/oras/thing:1", "file.txt")
    assert "application/x" in oras("discover", f"{ADDRESS}/oras/thing:1")
    oras("pull", "-o", "pulled", f"{ADDRESS}/oras/thing:1")
    assert (rig.folder / "pulled" / "file.txt").read_text() == "hello"
    ends = [f"--{end}-{flag}" for end in ("from", "to") for flag in ("ca-file", "username", "password")]
    values = [str(rig.folder / "ca.crt"), "user", "secret"] * 2
    rig.ok(
        str(peer_binary("oras")), "cp", "-r", *(word for pair in zip(ends, values, strict=True) for word in pair),
        f"{ADDRESS}/oras/thing:1", f"{ADDRESS}/oras/copied:1",
    )  # fmt: skip
    assert "application/x" in oras("discover", f"{ADDRESS}/oras/copied:1")
    oras("manifest delete", "-f", f"{ADDRESS}/oras/copied:1")


def test_docker(rig, genuine, docker_binary):
    cli = DockerCli(docker_binary, genuine.host, rig.folder / "docker-config")
    cli.environment["SSL_CERT_FILE"] = str(rig.folder / "ca.crt")
    cli.ok("load", stdin=(rig.folder / "image.tar").read_bytes())
    name = f"{ADDRESS}/docker/busybox:1"
    cli.ok("tag", "local/busybox:1", name)
    for refused in (cli.fails("push", name), cli.fails("pull", f"{ADDRESS}/docker/other:1")):
        assert "denied" in refused or "unauthorized" in refused or "no basic auth credentials" in refused
    assert "Login Succeeded" in cli.ok("login", "-u", "user", "--password-stdin", ADDRESS, stdin=b"secret")
    pushed = cli.ok("push", name)
    digest = pushed.rpartition("digest: ")[2].split()[0]
    cli.ok("rmi", name, "local/busybox:1")
    assert f"Digest: {digest}" in cli.ok("pull", name)
    assert cli.inspect(name)["RepoDigests"] == [f"{ADDRESS}/docker/busybox@{digest}"]
    cli.ok("rmi", name)
    cli.ok("pull", f"{ADDRESS}/docker/busybox@{digest}")
    cli.ok("rmi", f"{ADDRESS}/docker/busybox@{digest}")
    cli.ok("logout", ADDRESS)
    with contextlib.suppress(AssertionError):
        cli.run("rmi", "-f", name)


def test_our_own_command_line(rig):
    target = f"docker://{ADDRESS}/ours/busybox:1"
    rig.peer("skopeo", "copy", "--dest-creds", USER, "--dest-cert-dir", trust(rig), archived(rig), target)
    flags = ["--insecure", "--creds", USER]
    assert "ours/busybox" in rig.sampan("ls", *flags, ADDRESS).split()
    assert rig.sampan("tags", *flags, f"{ADDRESS}/ours/busybox").split() == ["1"]
    shown = json.loads(rig.sampan("inspect", *flags, f"{ADDRESS}/ours/busybox:1"))
    raw = rig.sampan("inspect", "--raw", *flags, f"{ADDRESS}/ours/busybox:1")
    assert shown["Digest"].removeprefix("sha256:") == image.sha256(raw.encode()).removeprefix("sha256:")
    assert json.loads(rig.sampan("inspect", "--config", *flags, f"{ADDRESS}/ours/busybox:1"))["os"] == "linux"
    both = ["--insecure", "--source-creds", USER, "--target-creds", USER]
    copied = rig.sampan("copy", "-q", *both, f"{ADDRESS}/ours/busybox:1", f"{ADDRESS}/ours/copied:2").strip()
    assert copied == shown["Digest"]
    rig.sampan("copy", "-a", *both, f"{ADDRESS}/ours/copied", f"{ADDRESS}/ours/again")
    assert rig.sampan("tags", *flags, f"{ADDRESS}/ours/again").split() == ["2"]
    rig.sampan("rm", *flags, f"{ADDRESS}/ours/copied:2")
    assert rig.sampan("tags", *flags, f"{ADDRESS}/ours/copied").split() == []
    rig.sampan("rm", "-m", *flags, f"{ADDRESS}/ours/again:2")
    listed = rig.sampan("gc", "--config", f"{rig.folder}/config.toml", "--root", f"{rig.folder}/data", "--dry-run")
    assert "Would reclaim" in listed


def test_a_killed_server_serves_what_it_acknowledged(rig):
    """SIGKILL in the middle of an upload: nothing half is there, and what was whole still is."""
    target = f"docker://{ADDRESS}/killed/busybox:1"
    rig.peer("skopeo", "copy", "--dest-creds", USER, "--dest-cert-dir", trust(rig), archived(rig), target)
    (rig.folder / "large").write_bytes(os.urandom(64 << 20))
    flags = ["--ca-file", str(rig.folder / "ca.crt"), "-u", "user", "-p", "secret"]
    pushing = subprocess.Popen(
        [*rig.prefix, str(peer_binary("oras")), "push", *flags, f"{ADDRESS}/killed/large:1", "large"],
        cwd=rig.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    uploads = rig.folder / "data" / "uploads"
    for _ in range(500):
        if any(path.stat().st_size > 1 << 20 for path in uploads.glob("*/data")) or pushing.poll() is not None:
            break
        time.sleep(0.005)
    rig.stop(signal.SIGKILL)
    pushing.wait()
    rig.start()
    rig.peer("skopeo", "inspect", "--creds", USER, "--cert-dir", trust(rig), target)
    oras = str(peer_binary("oras"))
    rig.ok(oras, "push", *flags, f"{ADDRESS}/killed/large:1", "large")
    rig.ok(oras, "pull", *flags, "-o", "large-pulled", f"{ADDRESS}/killed/large:1")
    assert (rig.folder / "large-pulled" / "large").read_bytes() == (rig.folder / "large").read_bytes()
