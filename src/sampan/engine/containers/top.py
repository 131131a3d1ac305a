"""GET /containers/{id}/top: the host's `ps`, cut down to the container's processes."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Collection, Sequence

from sampan.errors import Internal
from sampan.wire.containers import TopResponse

_RENAMED_PID = re.compile(r"\s+(\S*)=\s*(PID\S*)")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_SPACES = re.compile(r"[\t\n\v\f\r ]+")


async def top(arguments: str, processes: Collection[int]) -> TopResponse:
    """What `ps` with `arguments` says of these processes. Raises Internal with its words when it refuses."""
    check_arguments(arguments)
    wishes = arguments.split(" ")
    # Without the list of processes when that does not go together with an option such as `f`.
    chosen = await _ps([*wishes, f"-q{','.join(map(str, processes))}"]) if processes else None
    output = chosen if chosen is not None and chosen.returncode == 0 else await _ps(wishes)
    if output.returncode != 0:
        words = output.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise Internal(f"ps: {words or f'it ended with exit code {output.returncode}'}")
    return cut(output.stdout.decode("utf-8", "replace"), processes)


async def _ps(arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        process = await asyncio.create_subprocess_exec(
            "ps",
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
        )
    except FileNotFoundError:
        raise Internal("top needs the host's ps: install procps") from None
    output, errors = await process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode or 0, output, errors)


def check_arguments(arguments: str) -> None:
    """Refuse to have another column called PID: the container's processes are known by that title. Raises Internal."""
    for column, title in _RENAMED_PID.findall(arguments):
        if column != "pid":
            raise Internal(f'specifying "{column}={title}" is not allowed')


def cut(output: str, processes: Collection[int]) -> TopResponse:
    """The rows of those processes, in columns. A thread's row (`-` for the pid) belongs to the process before it.

    Raises Internal without a column PID.
    """
    titles, *lines = output.splitlines() or [""]
    columns = _fields(titles)
    if "PID" not in columns:
        raise Internal("Couldn't find PID field in ps output")
    place, rows, belongs = columns.index("PID"), [], False
    for line in lines:
        fields = _fields(line)
        if len(fields) <= place:
            continue
        if fields[place] != "-":
            if not fields[place].isdecimal():
                raise Internal(f"Unexpected pid '{fields[place]}'")
            belongs = int(fields[place]) in processes
        if belongs:
            last = len(columns) - 1
            rows.append([*fields[:last], " ".join(fields[last:])])
    return TopResponse(titles=columns, processes=rows)


def _fields(line: str) -> list[str]:
    return [field for field in _SPACES.split(line) if field]
