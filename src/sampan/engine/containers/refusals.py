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
_RUNC = re.compile(r'msg="(?:runc \w+ failed: )?(.*)"$')
_CRUN_GONE = re.compile(r"error opening file `[^`]*/([^/`]+)/status`")
_CRUN_MISSING = re.compile(r"executable file `.*` not found in \$PATH", re.DOTALL)

NOT_FOUND, NOT_EXECUTABLE, OTHER = 127, 126, 128


def explain(words: str, command: Sequence[str], exec: bool = False) -> StartFailed:
    """The error for a runtime's `words` about `command`."""
    reason, code = _reason(_clean(words), command[0] if command else "")
    return StartFailed((_EXEC if exec else _CONTAINER) + reason, code)


def _clean(words: str) -> str:
    """The reason in the runtime's last line: crun prints it plainly, runc as `... msg="runc run failed: REASON"`."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if not lines:
        return "the runtime gave no reason"
    message = _RUNC.search(lines[-1])
    if message:
        return message[1].replace('\\"', '"').removeprefix("unable to start container process: ")
    return lines[-1]


def _reason(words: str, program: str) -> tuple[str, int]:
    if _CRUN_MISSING.match(words):
        if "/" in program:
            return f'exec: "{program}": stat {program}: no such file or directory', NOT_FOUND
        return f'exec: "{program}": executable file not found in $PATH', NOT_FOUND
    if gone := _CRUN_GONE.match(words):
        return f"the container `{gone[1]}` is not running", OTHER
    if words.startswith("open executable: "):
        # crun refuses a directory with EPERM, a file without the x bit with EACCES.
        detail = "permission denied" if words.endswith("Permission denied") else "is a directory: permission denied"
        return f'exec: "{program}": {detail}', NOT_EXECUTABLE
    head, colon, error = words.rpartition(": ")
    words = head + colon + error[:1].lower() + error[1:]
    if "executable file not found" in words or "no such file or directory" in words:
        return words, NOT_FOUND
    if "permission denied" in words or "is a directory" in words:
        return words, NOT_EXECUTABLE
    return words, OTHER
