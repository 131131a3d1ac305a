"""Lines of the streams that pull, push, load, import and build answer with.

Engine API 1.51, definitions CreateImageInfo, PushImageInfo, BuildInfo, ProgressDetail, ErrorDetail.
"""

from __future__ import annotations

from typing import Any

from sampan.wire.base import Document, Int, always, pascal


class ProgressDetail(Document, kw_only=True, rename={"hide_counts": "hidecounts"}):
    """How far something is; bytes unless `units` says otherwise."""

    current: Int = 0
    total: Int = 0
    start: Int = 0
    hide_counts: bool = False
    units: str = ""


class ErrorDetail(Document, kw_only=True):
    """Why a stream ends early."""

    code: Int = 0
    message: str = ""


class ProgressMessage(
    Document, kw_only=True, rename={"progress_detail": "progressDetail", "error_detail": "errorDetail"}
):
    """One line."""

    stream: str = ""
    status: str = ""
    progress_detail: ProgressDetail | None = None
    progress: str = ""
    id: str = ""
    time: Int = 0
    time_nano: Int = 0
    error_detail: ErrorDetail | None = None
    error: str = ""
    aux: Any = None


class ErrorResponse(Document, kw_only=True):
    """Body of every failed request."""

    message: str = always("")


class ImageID(Document, kw_only=True, rename=pascal(id="ID")):
    """`aux` of a build's last line."""

    id: str = always("")
