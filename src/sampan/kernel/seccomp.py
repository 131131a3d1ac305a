"""Compiling a `linux.seccomp` section to BPF, by libseccomp.

The OCI runtime would compile it at every start: twelve milliseconds of Debian 12's crun. A compiled filter goes to crun
in the annotation `run.oci.seccomp_bpf_data` instead; other runtimes read the section.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

from sampan.errors import Internal, InvalidArgument

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_VALUE = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ATTRIBUTE_OPTIMIZE = 8
_BINARY_TREE = 2
_EEXIST = 17
_EPERM = 1


class _Argument(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Compiler:
    """libseccomp. Raises Internal where it is not installed."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libseccomp.so.2")
        except OSError:
            raise Internal("libseccomp.so.2 is not there: install libseccomp2") from None
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_init.argtypes = (ctypes.c_uint32,)
        library.seccomp_release.argtypes = (ctypes.c_void_p,)
        library.seccomp_release.restype = None
        library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
        library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
        library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
        library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
        library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Argument),
        )
        self._library = library

    def compile(self, section: Mapping[str, Any]) -> bytes:
        """The filter of a `linux.seccomp` section. Raises InvalidArgument for one that libseccomp does not take."""
        default = _action(section["defaultAction"], section.get("defaultErrnoRet"))
        context = self._library.seccomp_init(default)
        if not context:
            raise InvalidArgument(f"seccomp: the default action {section['defaultAction']} is not possible")
        try:
            for name in section.get("architectures", ()):
                self._add_architecture(context, name)
            self._library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)
            for rule in section.get("syscalls", ()):
                self._add_rule(context, rule, default)
            return self._export(context)
        finally:
            self._library.seccomp_release(context)

    def _add_architecture(self, context: int, name: str) -> None:
        token = self._library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if token == 0:
            raise InvalidArgument(f"seccomp: unknown architecture {name}")
        self._check(self._library.seccomp_arch_add(context, token), name)

    def _add_rule(self, context: int, rule: Mapping[str, Any], default: int) -> None:
        action = _action(rule["action"], rule.get("errnoRet"))
        if action == default:
            return
        arguments = [_argument(argument) for argument in rule.get("args", ())]
        indexes = [argument.arg for argument in arguments]
        # libseccomp joins comparisons of one call by AND, and can't compare one argument twice: those are alternatives.
        groups = [arguments] if len(set(indexes)) == len(indexes) else [[argument] for argument in arguments]
        for name in rule["names"]:
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            if number == -1:
                continue  # unknown to this libseccomp: it stays at the default action, as in every runtime
            for group in groups:
                array = (_Argument * len(group))(*group)
                self._check(self._library.seccomp_rule_add_array(context, action, number, len(group), array), name)

    def _export(self, context: int) -> bytes:
        descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            self._check(self._library.seccomp_export_bpf(context, descriptor), "export")
            file.seek(0)
            return file.read()

    def _check(self, result: int, what: str) -> None:
        if result < 0 and result != -_EEXIST:
            raise InvalidArgument(f"seccomp: {what}: {os.strerror(-result)}")


def _action(name: str, value: int | None) -> int:
    if name not in _ACTIONS:
        raise InvalidArgument(f"seccomp: the action {name} can't be compiled")
    base = _ACTIONS[name]
    return base | ((_EPERM if value is None else value) & 0xFFFF) if name in _WITH_VALUE else base


def _argument(argument: Mapping[str, Any]) -> _Argument:
    operator = _OPERATORS.get(argument["op"])
    if operator is None:
        raise InvalidArgument(f"seccomp: unknown comparison {argument['op']}")
    return _Argument(argument["index"], operator, argument["value"], argument.get("valueTwo", 0))
