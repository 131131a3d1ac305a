"""The firewall: batches of nft(8) commands, each batch one transaction, by libnftables in this process.

    nft = Nftables()                       the namespace of the calling thread, for the object's life
    nft.run("add table ip t; add chain ip t c { type nat hook postrouting priority srcnat; }")

Loaded at the first use: the library costs 4 MB.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import threading
from functools import cache
from typing import Any

from sampan.errors import Unavailable

__all__ = ["NftError", "Nftables"]

_LIBRARY = "libnftables.so.1"
_JSON_OUTPUT = 1 << 4


class NftError(Exception):
    """The kernel or the parser refused a batch; nothing of it was done. `str` is nft's own text."""


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise Unavailable(f"{_LIBRARY} is not there: install nftables (Debian: libnftables1)") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    for name in ("buffer_output", "buffer_error", "get_output_buffer", "get_error_buffer", "free"):
        getattr(library, f"nft_ctx_{name}").argtypes = (ctypes.c_void_p,)
    library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    return library


class Nftables:
    """A context of the library. Calls from several threads take turns; each is well below a millisecond."""

    def __init__(self) -> None:
        self._library = _library()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise Unavailable("libnftables could not make a context: out of memory")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._lock = threading.Lock()

    def close(self) -> None:
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> str:
        """Carry out a batch of commands and return what they print. Raises NftError; then nothing was done."""
        with self._lock:
            return self._run(commands, 0)

    def query(self, command: str) -> list[dict[str, Any]]:
        """The objects that a `list` command shows, in libnftables-json(5)'s form."""
        with self._lock:
            text = self._run(command, _JSON_OUTPUT)
        found: list[dict[str, Any]] = json.loads(text)["nftables"] if text else []
        return [entry for entry in found if "metainfo" not in entry]

    def _run(self, commands: str, flags: int) -> str:
        self._library.nft_ctx_output_set_flags(self._context, flags)
        code = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context).decode()
        error = self._library.nft_ctx_get_error_buffer(self._context).decode()
        if code != 0:
            raise NftError(error.strip() or f"nft failed: {commands}")
        return str(output)
