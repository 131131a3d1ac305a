"""What a daemon weighs, and whether it has become heavier."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rig import leaks

MARGIN_MEGABYTES = 24.0
MARGIN_OF_A_START = 80.0
"""The same where the first weight is of a daemon that has hardly begun: modules and caches still come."""
MARGIN_DESCRIPTORS = 16
MARGIN_THREADS = 12


@dataclass(frozen=True)
class Weight:
    """Memory, descriptors and threads of a process at one moment."""

    megabytes: float
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.megabytes:.1f} MB, {self.descriptors} descriptors, {self.threads} threads"

    def growth_to(self, later: Weight, megabytes: float = MARGIN_MEGABYTES) -> list[str]:
        """What has grown beyond the margins."""
        found = []
        if later.megabytes > self.megabytes + megabytes:
            found.append(f"memory grew from {self.megabytes:.1f} to {later.megabytes:.1f} MB")
        if later.descriptors > self.descriptors + MARGIN_DESCRIPTORS:
            found.append(f"descriptors grew from {self.descriptors} to {later.descriptors}")
        if later.threads > self.threads + MARGIN_THREADS:
            found.append(f"threads grew from {self.threads} to {later.threads}")
        return found


def weigh(pid: int) -> Weight:
    """The weight of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Weight(
        pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), leaks.descriptors(pid), len(os.listdir(f"/proc/{pid}/task"))
    )
