"""Commands in running containers, on the wire. Engine API 1.51, /containers/{id}/exec and /exec/{id}."""

from __future__ import annotations

from sampan.wire.base import Document, Int, always, always_new, pascal


class ExecCreateRequest(Document, kw_only=True, rename=pascal()):
    """Body of POST /containers/{id}/exec; `console_size` is height, width."""

    user: str = always("")
    privileged: bool = always(False)
    tty: bool = always(False)
    console_size: list[Int] | None = None
    attach_stdin: bool = always(False)
    attach_stderr: bool = always(False)
    attach_stdout: bool = always(False)
    detach: bool = False
    detach_keys: str = always("")
    env: list[str] | None = always(None)
    working_dir: str = always("")
    cmd: list[str] | None = always(None)


class ExecCreateResponse(Document, kw_only=True, rename=pascal()):
    """The new command's id."""

    id: str = always("")


class ExecStartRequest(Document, kw_only=True, rename=pascal()):
    """Body of POST /exec/{id}/start; `console_size` is height, width."""

    detach: bool = always(False)
    tty: bool = always(False)
    console_size: list[Int] | None = None


class ProcessConfig(Document, kw_only=True):
    """What is run, and as whom."""

    tty: bool = always(False)
    entrypoint: str = always("")
    arguments: list[str] | None = always_new(list)
    privileged: bool | None = None
    user: str = ""


class ExecInspect(Document, kw_only=True, rename=pascal(id="ID", container_id="ContainerID")):
    """Answer of GET /exec/{id}/json; `exit_code` is None until it ended; `detach_keys` is base64."""

    id: str = always("")
    running: bool = always(False)
    exit_code: Int | None = always(None)
    process_config: ProcessConfig = always_new(ProcessConfig)
    open_stdin: bool = always(False)
    open_stderr: bool = always(False)
    open_stdout: bool = always(False)
    can_remove: bool = always(False)
    container_id: str = always("")
    detach_keys: str = always("")
    pid: Int = always(0)
