"""The rules of the tree: who may import whom, who may read the environment, that each module stands alone, and that
names of test files are unique."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
LEAVES = {"errors", "__version__"}

# Each unit (a top-level package or module of sampan) and what it may import, beside itself and errors.
# A dotted name allows just that module or what is below it.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "wire": set(),
    "oci": set(),
    "templates": {"wire"},
    "dockerfile": set(),
    "http": set(),
    "kernel": set(),
    "monitor": {"kernel.syscalls", "kernel.inotify", "kernel.pidfd", "kernel.mounts"},
    "store": {"oci", "kernel"},
    "images": {"store", "oci", "wire", "kernel", "http"},
    "engine": {"images", "store", "kernel", "monitor", "dockerfile", "wire", "oci", "templates"},
    "server": {"engine", "http", "wire", "oci"},
    "registry": {"http", "store", "oci"},
    "client": {"wire"},
    "cli": {"client", "wire", "templates"},
    "config": set(),
    "daemonlog": set(),
    "systemd": set(),
}
# The composition root imports everything below it. The monitor's client is code of the daemon, which knows its paths.
# The commands of a registry work without a daemon.
EXCEPTIONS: dict[str, set[str]] = {
    "monitor.client": {"store.paths"},
    "cli.commands.registry": {"registry", "images.remote"},
}
COMPOSITION_ROOTS = {"daemon"}
NOUNS = {"containers", "networks", "volumes", "build", "events", "system"}


def module_name(path: Path) -> str:
    """The dotted name below `sampan` ("" for the package itself)."""
    parts = path.relative_to(SOURCE / "sampan").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted((SOURCE / "sampan").rglob("*.py"))}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and target (dotted, below `sampan`) of every import of our own, also those inside functions."""
    package = ["sampan", *module_name(path).split(".")]
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            targets = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            if target.startswith("sampan."):
                yield node.lineno, target.removeprefix("sampan.")


def foreign_imports() -> set[str]:
    """The modules of others that ours import at their top."""
    found = set()
    for path in modules().values():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] not in ("sampan", "__future__")}


def below(name: str, roots: set[str]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def forbidden(importer: str, target: str) -> bool:
    unit = importer.split(".")[0]
    if unit in COMPOSITION_ROOTS or not importer:
        return False
    allowed = ALLOWED[unit] | LEAVES | {unit}
    for place, extra in EXCEPTIONS.items():
        if below(importer, {place}):
            allowed = allowed | extra
    return not below(target, allowed)


def test_every_unit_has_a_rule():
    units = {name.split(".")[0] for name in modules() if name}
    assert units <= set(ALLOWED) | COMPOSITION_ROOTS, "a new package needs a place in the layers"


def test_imports_point_down_only():
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports sampan.{target}"
        for name, path in modules().items()
        for line, target in imports(path)
        if forbidden(name, target)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_noun_imports_anothers_service():
    wrong = []
    for name, path in modules().items():
        parts = name.split(".")
        if len(parts) < 2 or parts[0] != "engine" or parts[1] not in NOUNS:
            continue
        for line, target in imports(path):
            found = re.match(r"engine\.(\w+)\.service\b", target)
            if found and found[1] != parts[1]:
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports sampan.{target}")
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_and_config_read_the_environment():
    wrong = []
    for name, path in modules().items():
        if below(name, {"cli", "config"}):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            used = node.attr if isinstance(node, ast.Attribute) else ""
            if used in {"environ", "environb", "getenv", "getenvb"}:
                wrong.append(f"{path.relative_to(SOURCE)}:{node.lineno} reads the environment")
    assert not wrong, "\n".join(wrong)


def test_the_rules_catch_what_they_should():
    assert forbidden("cli.main", "engine.containers.service")
    assert forbidden("wire.codec", "oci.digest")
    assert forbidden("monitor.main", "kernel.netlink")
    assert forbidden("cli.commands.run", "images.remote")
    assert not forbidden("cli.commands.registry.serve", "images.remote")
    assert not forbidden("server.app", "engine.events")
    assert not forbidden("daemon.instance", "server.app")


@pytest.mark.timeout(660)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.timeout(600)
def test_each_module_is_importable_alone(tmp_path):
    """An interpreter forks once for each module, so that no import can lean on an earlier one of ours.

    What others wrote is imported before, once, as it costs the most.
    """
    script = tmp_path / "alone.py"
    script.write_text(
        "import contextlib, importlib, os, sys, traceback\n"
        f"for name in {sorted(foreign_imports())}:\n"
        "    with contextlib.suppress(ImportError):\n"
        "        importlib.import_module(name)\n"
        "failed = 0\n"
        "for name in sys.argv[1:]:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        try:\n"
        "            importlib.import_module(name)\n"
        "        except BaseException:\n"
        "            print(f'--- {name}', file=sys.stderr)\n"
        "            traceback.print_exc()\n"
        "            sys.stderr.flush()\n"
        "            os._exit(1)\n"
        "        os._exit(0)\n"
        "    failed |= os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "sys.exit(failed)\n"
    )
    names = ["sampan" + (f".{name}" if name else "") for name in modules() if not name.endswith("__main__")]
    command = [sys.executable, "-I", str(script), *names]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr


def test_names_of_test_files_are_unique():
    """pytest imports them by their bare names: two of one name are one module, and the second is not collected."""
    tests = Path(__file__).parents[1]
    names = [path.name for path in tests.rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
