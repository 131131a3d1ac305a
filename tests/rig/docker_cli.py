"""The real docker command line against one engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pexpect


class DockerCli:
    """Runs the docker binary with an engine's socket and a configuration folder of its own."""

    def __init__(self, binary: Path, host: str, folder: Path) -> None:
        self.binary, self.host = binary, host
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": host,
            "DOCKER_CONFIG": str(folder),
            "TERM": "xterm",
        }

    def run(self, *arguments: str, stdin: bytes = b"", timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run to the end, whatever the exit code."""
        return subprocess.run(
            [self.binary, *arguments], input=stdin, capture_output=True, timeout=timeout, env=self.environment
        )

    def ok(self, *arguments: str, stdin: bytes = b"", timeout: float = 60) -> str:
        """Run, require exit code 0, return standard output without the last newline."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: exit {done.returncode}: {done.stderr.decode()}"
        return done.stdout.decode().removesuffix("\n")

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments))

    def inspect(self, name: str) -> Any:
        return self.json("inspect", name)[0]

    def fails(self, *arguments: str, code: int = 1, stdin: bytes = b"") -> str:
        """Run, require exactly this exit code, return standard error."""
        done = self.run(*arguments, stdin=stdin)
        said = f"{done.stdout.decode()} {done.stderr.decode()}"
        assert done.returncode == code, f"docker {' '.join(arguments)}: exit {done.returncode}, not {code}: {said}"
        return done.stderr.decode()

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start and leave running; the caller waits for it."""
        return subprocess.Popen([self.binary, *arguments], env=self.environment, **options)

    def terminal(self, *arguments: str, rows: int = 24, columns: int = 80) -> pexpect.spawn[str]:
        """Start under a pseudo-terminal."""
        return pexpect.spawn(
            str(self.binary),
            list(arguments),
            env=self.environment,
            dimensions=(rows, columns),
            encoding="utf-8",
            timeout=60,
            echo=False,
        )

    def exists(self, name: str) -> bool:
        return self.run("container", "inspect", name).returncode == 0

    def remove_all_containers(self) -> None:
        left = self.ok("ps", "--all", "--quiet", "--no-trunc").split()
        if left:
            self.ok("rm", "--force", "--volumes", *left)
