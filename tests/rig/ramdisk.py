"""An ext4 file system on a loop device over RAM: as fast as memory, and it behaves as a disk does."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path


class RamDisk:
    """A mounted file system at `path`; sparse, so that it takes only what is written to it."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix="sampan-ram-", dir="/dev/shm", delete=False) as image:
            image.truncate(megabytes << 20)
            self._image = Path(image.name)
        try:
            self._run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1", str(self._image))
            self._run("mount", "-o", "loop", str(self._image), str(path))
        except BaseException:
            self._image.unlink()
            raise

    def freeze(self) -> None:
        """Writers block, uninterruptibly, until `thaw`."""
        self._run("fsfreeze", "--freeze", str(self.path))

    def thaw(self) -> None:
        self._run("fsfreeze", "--unfreeze", str(self.path))

    def close(self) -> None:
        """Unmount, once those who still hold files have had time to end; raises OSError when they don't."""
        for attempt in range(100):
            try:
                self._run("umount", str(self.path))
                break
            except OSError:
                if attempt == 99:
                    raise
                time.sleep(0.2)
        self._image.unlink()

    def __enter__(self) -> RamDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
