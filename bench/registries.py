"""docker-registry beside an engine under measurement, on its loopback, with the image that pulls are measured with."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import images
from engines import Bench
from rig.engines import peer_binary
from rig.registries import DebianRegistry


class Registry:
    """Empty at first; gone, with what it holds, after the `with` block."""

    def __init__(self, bench: Bench, port: int = 5000) -> None:
        self._bench = bench
        self._folder = Path(tempfile.mkdtemp(prefix="sampan-bench-registry-", dir="/dev/shm"))
        self._registry = DebianRegistry(bench.engine, self._folder / "registry", f"127.0.0.1:{port}")
        self.image = f"{self._registry.address}/bench/large"

    def __enter__(self) -> Registry:
        self._registry.start()
        return self

    def fill(self) -> None:
        """Put the image there: the same bytes for every engine."""
        root = self._folder / "registry" / "root"
        if (kept := _filled()) is not None:
            shutil.copytree(kept, root, copy_function=shutil.copyfile)
            return
        archive = self._folder / "image.tar"
        archive.write_bytes(images.archive())
        crane = [*self._bench.engine.network.prefix, str(peer_binary("crane")), "push", "--insecure"]
        subprocess.run([*crane, str(archive), f"{self.image}:1"], check=True, capture_output=True)
        archive.unlink()
        shutil.copytree(root, _kept() / "root")

    def __exit__(self, *_: object) -> None:
        self._registry.close()
        shutil.rmtree(self._folder)


@cache
def _kept_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sampan-bench-kept-", dir="/dev/shm")


def _kept() -> Path:
    return Path(_kept_folder().name)


def _filled() -> Path | None:
    root = _kept() / "root"
    return root if root.exists() else None
