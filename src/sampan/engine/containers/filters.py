"""System call filters ready to load: compiled once for each distinct section, not at every start."""

from __future__ import annotations

import base64
from collections import OrderedDict
from typing import Any

import msgspec

from sampan.errors import SampanError
from sampan.kernel.seccomp import Compiler

ANNOTATION = "run.oci.seccomp_bpf_data"
_KEPT = 64


class FilterCache:
    """Puts compiled filters into runtime specs of crun. Used from worker threads; a double compile does no harm."""

    def __init__(self) -> None:
        self._compiler: Compiler | None = None
        self._filters: OrderedDict[bytes, str] = OrderedDict()

    def embed(self, spec: dict[str, Any]) -> None:
        """Replace the spec's seccomp section by its filter. What can't be compiled stays for the runtime to judge."""
        section = spec["linux"].get("seccomp")
        if section is None or section.get("flags") or section.get("listenerPath"):
            return
        key = msgspec.json.encode(section)
        compiled = self._filters.get(key)
        if compiled is None:
            try:
                compiled = self._compile(section)
            except SampanError:
                return
            self._filters[key] = compiled
            while len(self._filters) > _KEPT:
                self._filters.popitem(last=False)
        del spec["linux"]["seccomp"]
        spec["annotations"] = {**spec.get("annotations", {}), ANNOTATION: compiled}

    def _compile(self, section: dict[str, Any]) -> str:
        if self._compiler is None:
            self._compiler = Compiler()
        return base64.b64encode(self._compiler.compile(section)).decode()
