"""What a measure is, how it is taken, and the table that says what was measured, required and met.

The first of the subjects is ours; what is required is required of it. Rounds are interleaved across subjects, so that
what else happens on the machine meets all alike, and the best of a subject's rounds counts. A subject that fails at a
measure gets the reason in the place of the figure, and the others theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rig.engines import peer_version

RESULTS = Path(__file__).resolve().parent / "results"
FLAT = 1.3
"""How many times more a cost that must not grow may take: what the machine's other work does to it."""


class Unfit(Exception):
    """The subject can't do what is measured; the words stand in the place of the figure."""


class Subject(Protocol):
    """What is measured: an engine or a registry."""

    @property
    def name(self) -> str: ...

    def recover(self) -> None:
        """Be ready for the next measure after one that failed."""


S = TypeVar("S", bound=Subject)
Values = dict[str, float | str]


@dataclass(frozen=True)
class Measure(Generic[S]):
    """A function from a subject to a number, and what is required of ours.

    `limit` is an absolute bound, `factor` how many times better it must be than the best of `against`, and `flat` names
    the same measure at a smaller scale, which it must not exceed by more than noise.
    """

    name: str
    title: str
    unit: str
    function: Callable[[S], float]
    more_is_better: bool = False
    limit: float | None = None
    factor: float | None = None
    flat: str | None = None
    against: tuple[str, ...] = ("dockerd",)
    only: tuple[str, ...] | None = None
    rounds: int = 3

    def best(self, values: Sequence[float]) -> float:
        return max(values) if self.more_is_better else min(values)

    def ratio(self, ours: float, theirs: float) -> float:
        """How many times better ours is."""
        return ours / theirs if self.more_is_better else theirs / ours

    @property
    def required(self) -> str:
        said = []
        if self.limit is not None:
            said.append(f"at most {self.limit:g} {self.unit}")
        if self.factor is not None:
            said.append(f"{self.factor:g} times")
        if self.flat is not None:
            said.append(f"as `{self.flat}`")
        return ", ".join(said)


def reason(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0][:80]
    return text if isinstance(error, Unfit) else f"{type(error).__name__}: {text}"


def take(measure: Measure[S], subjects: Sequence[S], rounds: int) -> Values:
    """Each subject's best figure, or why it has none."""
    taken: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for _ in range(min(rounds, measure.rounds)):
        for subject in subjects:
            if subject.name in failed or (measure.only is not None and subject.name not in measure.only):
                continue
            try:
                taken.setdefault(subject.name, []).append(measure.function(subject))
            except Exception as error:
                failed[subject.name] = reason(error)
                with contextlib.suppress(Exception):
                    subject.recover()
    return {name: measure.best(values) for name, values in taken.items() if values} | failed


def shown(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def about(what: str, peers: Sequence[str]) -> str:
    """When, where and beside what a run was."""
    versions = ", ".join(f"{name} {peer_version(name)}" for name in peers)
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{when}; Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}. "
        f"{what}; load before the run {os.getloadavg()[0]:.1f}."
    )


class Report:
    """Prints each row as soon as it is known and, given a name, keeps results/NAME.md and NAME.json up to date."""

    def __init__(self, note: str, names: Sequence[str], written: str | None) -> None:
        self.note, self.names, self.written = note, list(names), written
        self._results: dict[str, dict[str, Any]] = {}
        self._values: dict[str, Values] = {}
        self._rows: list[str] = []
        print(note, *self._heading(), sep="\n", flush=True)

    def _heading(self) -> list[str]:
        cells = ["", "measure", *self.names, "ratio", "required", "met"]
        return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]

    def add(self, measure: Measure[S], values: Values) -> None:
        self._values[measure.name] = values
        ratio, met = self._ratio(measure, values), self._met(measure, values)
        self._results[measure.name] = {
            "title": measure.title,
            "unit": measure.unit,
            "values": values,
            "ratio": ratio,
            "required": measure.required,
            "met": met,
        }
        cells = [measure.name, f"{measure.title}, {measure.unit}", *(shown(values.get(name)) for name in self.names)]
        cells += [f"{ratio:.2f}" if ratio else "", measure.required, {True: "yes", False: "NO", None: ""}[met]]
        self._rows.append(f"| {' | '.join(cells)} |")
        print(self._rows[-1], flush=True)
        self._write()

    def _ratio(self, measure: Measure[S], values: Values) -> float | None:
        ours = values.get(self.names[0])
        theirs = [value for name in measure.against if isinstance(value := values.get(name), float)]
        return measure.ratio(ours, measure.best(theirs)) if isinstance(ours, float) and ours and theirs else None

    def _met(self, measure: Measure[S], values: Values) -> bool | None:
        """None where nothing is required, or what it is compared with was not measured."""
        ours = values.get(self.names[0])
        if not measure.required or ours is None:
            return None
        if not isinstance(ours, float):
            return False
        verdicts = [] if measure.limit is None else [ours <= measure.limit]
        ratio = self._ratio(measure, values)
        if measure.factor is not None and ratio is not None:
            verdicts.append(ratio >= measure.factor)
        base = self._values.get(measure.flat or "", {}).get(self.names[0])
        if isinstance(base, float):
            verdicts.append(ours <= base * FLAT)
        return all(verdicts) if verdicts else None

    def summary(self) -> str:
        judged = {name: result["met"] for name, result in self._results.items() if result["met"] is not None}
        missed = [name for name, met in judged.items() if not met]
        said = f"{len(judged) - len(missed)} of {len(judged)} requirements met"
        return f"{said}; missed: {', '.join(missed)}." if missed else f"{said}."

    def _write(self) -> None:
        if self.written is None:
            return
        RESULTS.mkdir(exist_ok=True)
        lines = [self.note, "", *self._heading(), *self._rows, "", self.summary(), ""]
        (RESULTS / f"{self.written}.md").write_text("\n".join(lines))
        document = {"about": self.note, "results": self._results}
        (RESULTS / f"{self.written}.json").write_text(json.dumps(document, indent=1) + "\n")
