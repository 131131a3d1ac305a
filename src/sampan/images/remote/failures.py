"""Answers of registries as errors of ours, in the words that docker's users know."""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.errors import (
    Conflict,
    Denied,
    Exhausted,
    InvalidArgument,
    NotFound,
    SampanError,
    Unauthenticated,
    Unavailable,
    Upstream,
)

__all__ = ["Answer", "Broken", "Unreachable", "of_answer"]

_KINDS: dict[int, type[SampanError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: Denied,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Exhausted,
    429: Unavailable,
}
# For answers without a body: those to HEAD.
_WORDS = {
    401: "unauthorized: authentication required",
    403: "denied: requested access to the resource is denied",
}
_TEXT_LIMIT = 300
_WORDS_LIMIT = 2000


class Broken(Upstream):
    """A connection failed or broke: the same may work when it is tried again. `wait` is what the server asked for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Unreachable(Broken):
    """There is no way to the host, or no such host: worth another try only for who had a connection before."""


class Answer(msgspec.Struct):
    """One error of a registry's answer."""

    code: str = ""
    message: str = ""
    detail: Any = None

    def __str__(self) -> str:
        words = self.code.lower().replace("_", " ")
        return f"{words}: {self.message}" if words and self.message else words or self.message


class _Answers(msgspec.Struct):
    errors: list[Answer] = []
    details: Any = None


def answers_of(body: bytes) -> list[Answer]:
    """The errors that a body tells of."""
    try:
        return msgspec.json.decode(body, type=_Answers).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def told_by(body: bytes) -> str:
    """What an answer's errors say, fit to be shown."""
    return _shown("; ".join(str(answer) for answer in answers_of(body)), _WORDS_LIMIT)


def of_answer(what: str, status: int, body: bytes) -> SampanError:
    """The error that an answer is; `what` says what was asked for."""
    told = told_by(body) or _plain(body) or _WORDS.get(status, "")
    message = f"{what}: {told}" if told else f"{what}: the registry answered with status {status}"
    kind = _KINDS.get(status)
    if kind is not None:
        return kind(message)
    return Broken(message) if status >= 500 or status == 408 else Upstream(message)


def _plain(body: bytes) -> str:
    text = body[: 4 * _TEXT_LIMIT].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else _shown(text, _TEXT_LIMIT)


def _shown(text: str, limit: int) -> str:
    """Text of a stranger on one's terminal: without control characters, and not too much of it."""
    clean = "".join(char if char.isprintable() else " " for char in text[:limit])
    return clean if len(text) <= limit else f"{clean}..."
