"""This tree's daemon, and whether what it answered is as the OpenAPI files say."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from rig import recording
from rig.engines import Sampand

_VERSION = re.compile(r"/v([0-9.]+)/")
_NEWEST = "1.51"


def _specified() -> bool:
    try:
        from rig.openapi import SPECS
    except ImportError:  # a machine without the validator
        return False
    return SPECS.is_dir()


class CheckedSampand(Sampand):
    """A daemon whose replies are recorded; without OpenAPI files it is a plain one."""

    def __init__(self, home: Path | None = None, flags: tuple[str, ...] = ()) -> None:
        super().__init__(home, flags)
        self._replies = self.home / "replies"
        if _specified():
            self.command = [sys.executable, "-P", recording.__file__, str(self._replies), *self.command[1:]]

    def problems(self) -> list[str]:
        """What of all replies until now is not as the file of its version says, each kind once, with an example."""
        if not self._replies.exists():
            return []
        from rig.openapi import validator_of

        examples: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for reply in recording.read(self._replies):
            version = _VERSION.match(reply.target)
            validator = validator_of(version[1] if version else _NEWEST)
            for problem in validator.problems(reply) if validator is not None else ():
                counts[problem] += 1
                examples.setdefault(problem, f"{reply.method} {reply.target[:200]}")
        return [f"{problem} ({count} times, as {examples[problem]})" for problem, count in counts.items()]
