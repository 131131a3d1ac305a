"""Integration tests that client libraries have of their own, from PyPI, against an engine.

    .cache/suites/NAME/   source/  the library's source distribution (tests and all)
                          venv/    a Python with what the tests import
                          log      the last run's output

The engine and a registry that stands in for the hub are in one network, without a way out.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig import image
from rig.care import load, stop_and_check
from rig.engines import TREE, Engine, Sampand

GENUINE_OUTCOMES = TREE.parent / "shared/clients"
Excluded = Mapping[str, Sequence[str]]
"""Tests that are not asked for, by the reason: pytest's names below their folder, or how those begin."""
HUB = "127.0.0.1:5000"
HUB_PATIENCE = 30
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


# --- what is fetched --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Suite:
    """A source distribution with tests, and what they need. `library` is installed over the library's own sources."""

    name: str
    source: str
    requirements: tuple[str, ...]
    library: str = ""

    @property
    def folder(self) -> Path:
        return TREE / ".cache/suites" / self.name

    @property
    def sources(self) -> Path:
        return self.folder / "source"

    @property
    def python(self) -> Path:
        return self.folder / "venv/bin/python"

    def fetch(self) -> None:
        """Have it all in the cache; skips the test where PyPI can't be reached."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp = self.folder / "stamp"
        wanted = hashlib.sha256(repr(self).encode()).hexdigest()
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if stamp.exists() and stamp.read_text() == wanted:
                return
            stamp.unlink(missing_ok=True)
            try:
                self._fetch()
            except subprocess.CalledProcessError as error:
                pytest.skip(
                    f"{self.source} and what it needs could not be had from PyPI: {error.stderr.strip()[-300:]}"
                )
            stamp.write_text(wanted)

    def _fetch(self) -> None:
        downloads = self.folder / "download"
        package = self.source.partition("==")[0]
        for path in (self.sources, self.folder / "venv", downloads):
            shutil.rmtree(path, ignore_errors=True)
        _pip(sys.executable, "download", "--no-deps", f"--no-binary={package}", f"--dest={downloads}", self.source)
        self.sources.mkdir()
        archive = next(downloads.glob("*.tar.gz"))
        _run("tar", "--extract", "--strip-components=1", f"--directory={self.sources}", f"--file={archive}")
        _run(sys.executable, "-m", "venv", str(self.folder / "venv"))
        _pip(self.python, "install", *self.requirements)
        if self.library:
            shutil.rmtree(self.sources / self.name)
            _pip(self.python, "install", "--no-deps", f"--target={self.sources}", self.library)


def _pip(python: Path | str, *arguments: str) -> None:
    _run(str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)


# --- where it runs ----------------------------------------------------------------------------------------------------


@contextmanager
def engine_with_hub(images: Mapping[str, tuple[image.Config, Sequence[bytes]]], keep: bool) -> Iterator[Sampand]:
    """A sampand whose mirror of the hub has `images`; it has them itself where they are to be kept.

    At the end nothing may be left behind.
    """
    engine = Sampand(flags=("--registry-mirror", f"http://{HUB}"))
    try:
        engine.start()
        with _serving(engine):
            load(engine, image.archive(images))
            for name in images:
                _push(engine, name, keep)
            yield engine
    except BaseException:
        engine.close()
        raise
    stop_and_check(engine)


@contextmanager
def _serving(engine: Engine) -> Iterator[None]:
    hub = _serve_hub(engine)
    try:
        yield
    finally:
        hub.send_signal(signal.SIGTERM)
        hub.wait(30)


def _serve_hub(engine: Engine) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sampan.cli.main", "registry", "serve", "--quiet", "--listen", HUB]
    with (engine.home / "hub.log").open("wb") as log:
        hub = subprocess.Popen(
            [*engine.network.prefix, *command, "--root", str(engine.home / "hub")], stdout=log, stderr=log
        )
    deadline = time.monotonic() + HUB_PATIENCE
    while time.monotonic() < deadline and hub.poll() is None:
        with suppress(subprocess.CalledProcessError):
            engine.network.run("bash", "-c", f"</dev/tcp/{HUB.replace(':', '/')}")
            return hub
        time.sleep(0.1)
    hub.kill()
    raise AssertionError(f"the hub did not come up: {(engine.home / 'hub.log').read_text()}")


def _push(engine: Engine, name: str, keep: bool) -> None:
    repository, _, tag = name.rpartition(":")
    there = f"{HUB}/library/{repository}"
    with engine.client() as client:
        assert client.post(f"/images/{name}/tag?repo={there}&tag={tag}").status == 201
        pushed = client.request("POST", f"/images/{there}/push?tag={tag}", headers={"X-Registry-Auth": "e30="})
        assert pushed.status == 200 and b'"error"' not in pushed.body, pushed.body
        for reference in (f"{there}:{tag}",) if keep else (f"{there}:{tag}", name):
            assert client.delete(f"/images/{reference}").status == 200


def marked(layers: Sequence[bytes], name: str, files: Mapping[str, str] | None = None) -> tuple[bytes, ...]:
    """`layers` and one more, so that images are distinct: tests prune and remove them one by one."""
    top = image.Layer()
    top.folder("var/opt")
    top.add("etc/image-name", f"{name}\n".encode())
    for path, text in (files or {}).items():
        top.add(path, text.encode())
    return (*layers, top.finish())


# --- running it -------------------------------------------------------------------------------------------------------


def run(
    suite: Suite,
    engine: Engine,
    tests: str,
    options: Sequence[str],
    excluded: Excluded,
    environment: Mapping[str, str],
) -> dict[str, str]:
    """Each test's name below the folder `tests` to "pass", "skipped", or how it failed.

    Excluded ones are not run where pytest can leave them out without others.
    """
    report, log = suite.folder / "report.xml", suite.folder / "log"
    report.unlink(missing_ok=True)
    home = engine.home / "client"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text("{}")
    left_out = [f"{tests}/{prefix}" for prefixes in excluded.values() for prefix in prefixes]
    deselected = [f"--deselect={path}" if "::" in path else f"--ignore={path}" for path in left_out]
    command = [*engine.network.prefix, str(suite.python), "-m", "pytest", tests, "-q", "-p", "no:cacheprovider"]
    command += [f"--junitxml={report}", *options, *deselected]
    with log.open("wb") as output:
        subprocess.run(
            command,
            cwd=suite.sources,
            env=_environment() | {"DOCKER_HOST": engine.host, "HOME": str(home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    assert report.exists(), log.read_text(errors="replace")[-3000:]
    return dict(_outcomes(report, tests))


def _environment() -> dict[str, str]:
    foreign = ("DOCKER_", "PYTHON", "VIRTUAL_ENV", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _outcomes(report: Path, tests: str) -> Iterator[tuple[str, str]]:
    for case in ElementTree.parse(report).iter("testcase"):
        name = node(case.get("classname", "").removeprefix(tests.replace("/", ".") + "."), case.get("name", ""))
        failed = next((part for part in case if part.tag in ("failure", "error")), None)
        if failed is not None:
            yield name, (failed.get("message") or failed.tag).strip()[:500]
        elif name:
            yield name, "pass" if case.find("skipped") is None else "skipped"


def node(place: str, name: str) -> str:
    """A test's pytest name below its folder: of `api_exec_test.ExecTest` and its name, say."""
    module, *classes = place.split(".")
    return "::".join((f"{module}.py", *classes, name))


def is_excluded(name: str, excluded: Excluded) -> bool:
    """Whether an entry of `excluded` is a prefix of the name, or with a `$` at its end the name itself."""
    return f"{name}$".startswith(tuple(prefix for prefixes in excluded.values() for prefix in prefixes))


def failures(outcomes: Mapping[str, str], excluded: Excluded) -> str:
    """What failed and should not have, a line for each."""
    failed = {name: how for name, how in outcomes.items() if how not in ("pass", "skipped")}
    return "\n".join(f"{name}: {how}" for name, how in failed.items() if not is_excluded(name, excluded))


def passed_by_genuine(table: str) -> set[str]:
    """The tests that a genuine daemon passes, from what was recorded; skips where the record is not there."""
    recorded = GENUINE_OUTCOMES / table
    if not recorded.exists():
        pytest.skip(f"no record of a genuine daemon's outcomes at {recorded}")
    rows = (line.split("\t") for line in recorded.read_text().splitlines())
    return {node(*name.split("::", 1)) for name, outcome, *_ in rows if outcome == "pass"}


def not_passed(outcomes: Mapping[str, str], expected: set[str], excluded: Excluded) -> list[str]:
    """The expected tests that did not pass, or were not there, but for the excluded."""
    return sorted(name for name in expected if not is_excluded(name, excluded) and outcomes.get(name) != "pass")
