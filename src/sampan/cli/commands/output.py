"""Writing a stream that an engine answers with: to a file that is whole or not there, or to standard output."""

from __future__ import annotations

import os

from sampan.cli.flags import Exit, Flag
from sampan.cli.streams import write_all
from sampan.client.blocking import iterate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from sampan.cli.context import Cli
    from sampan.client.session import Response

OUTPUT = Flag("output", "string", "Write to a file, instead of STDOUT", "o")


def save(cli: Cli, path: str, request: Callable[[], Coroutine[Any, Any, Response]], failure: str) -> int:
    """Write the answer of `request` to `path`, or to standard output when it is ""."""
    if not path:
        if cli.stdout_is_terminal:
            raise Exit(1, "cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for piece in iterate(cli.run(request()).chunks()):
            write_all(1, piece)
        return 0
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise Exit(1, f"{failure}: invalid output path: stat {folder}: no such file or directory")
    if os.path.exists(path) and not os.path.isfile(path):
        raise Exit(1, f"{failure}: invalid output path: {path} must not be a directory or a device")
    response = cli.run(request())
    temporary = f"{path}.part-{os.getpid()}"
    try:
        with open(temporary, "wb", buffering=0) as file:  # noqa: PTH123
            for piece in iterate(response.chunks()):
                write_all(file.fileno(), piece)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return 0
