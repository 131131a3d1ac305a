"""What the runtime says when it can't start a process, in the words that docker's clients look for. Pure.

The docker command line makes exit codes of these words: "executable file not found" and "no such file or directory"
give 127, "permission denied" 126, everything else 125.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sampan.engine.containers.lifecycle import StartFailed

_CONTAINER = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "unable to start container process: "
)
_EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "
_NOISE = re.compile(r"^(?:\d{4}-\d\d-\d\dT\S+:\s*)?(?:crun|runc)?:?\s*", re.IGNORECASE)

NOT_FOUND, NOT_EXECUTABLE, OTHER = 127, 126, 128


def explain(words: str, command: Sequence[str], exec: bool = False) -> StartFailed:
    """The error for a runtime's `words` about `command`."""
    reason, code = _reason(_clean(words), command[0] if command else "")
    return StartFailed((_EXEC if exec else _CONTAINER) + reason, code)


def _clean(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return _NOISE.sub("", lines[-1]) if lines else "the runtime gave no reason"


def _reason(words: str, program: str) -> tuple[str, int]:
    low = words.lower()
    about_program = (
        f"`{program}`" in words or "executable file" in low or "exec" in low.split(":")[0] or "open executable" in low
    )
    if "not found in $path" in low:
        return f'exec: "{program}": executable file not found in $PATH', NOT_FOUND
    if about_program and "no such file" in low:
        if "/" in program:
            return f'exec: "{program}": stat {program}: no such file or directory', NOT_FOUND
        return f'exec: "{program}": executable file not found in $PATH', NOT_FOUND
    if about_program and ("permission denied" in low or "is a directory" in low):
        detail = "is a directory: permission denied" if "directory" in low else "permission denied"
        return f'exec: "{program}": {detail}', NOT_EXECUTABLE
    if about_program and ("exec format" in low or "not a directory" in low):
        return f'exec: "{program}": {words.rsplit(":", 1)[-1].strip().lower()}', NOT_EXECUTABLE
    return words, OTHER
