"""./dev bench [--engines A;B] [--rounds N] [--write NAME] [MEASURE...]: sampand and genuine engines in one run."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from engines import KINDS, Bench
from measures import MEASURES
from report import Measure, Report, Values, about, reason, take

PEERS = ("docker.io", "podman", "crun", "runc")


def started(names: list[str], stack: ExitStack) -> tuple[list[Bench], dict[str, str]]:
    """The engines that start, and why the others don't."""
    benches, failed = [], {}
    for name in names:
        try:
            benches.append(Bench(name))
            stack.callback(benches[-1].close)
        except Exception as error:
            failed[name] = f"did not start: {reason(error)}"
    return benches, failed


def run(measures: list[Measure[Bench]], rounds: int, report: Report) -> None:
    with ExitStack() as stack:
        benches, failed = started(report.names, stack)
        for measure in measures:
            began = time.monotonic()
            values: Values = {**failed, **take(measure, benches, rounds)}
            report.add(measure, values)
            print(f"{measure.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=", ".join(measure.name for measure in MEASURES))
    parser.add_argument("--engines", default=";".join(KINDS), help="separated by semicolons, ours first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", metavar="NAME", help="write bench/results/NAME.md and NAME.json")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - {measure.name for measure in MEASURES}:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    if unknown := set(chosen.engines.split(";")) - set(KINDS):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}")
    measures = [measure for measure in MEASURES if not chosen.names or measure.name in chosen.names]
    what = f"Data roots on a loop ext4 over RAM; medians within a round, the best of {chosen.rounds} rounds"
    report = Report(about(what, PEERS), chosen.engines.split(";"), chosen.write)
    run(measures, chosen.rounds, report)
    print(report.summary())


if __name__ == "__main__":
    main()
