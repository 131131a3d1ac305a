"""./dev bench [--engines A;B] [--rounds N] [--write NAME] [MEASURE...]: sampand and genuine engines in one run.

Rounds are interleaved, so that what else happens on the machine meets all engines alike; the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from engines import KINDS, Bench  # noqa: E402
from measures import MEASURES, Measure, Unfit  # noqa: E402
from rig.engines import peer_version  # noqa: E402

Values = dict[str, float | str]


def best(measure: Measure, values: list[float]) -> float:
    return max(values) if measure.more_is_better else min(values)


def take(measure: Measure, benches: list[Bench], rounds: int) -> Values:
    """Measure every engine; the best of the rounds, or why there is no number."""
    results: dict[str, list[float]] = {}
    unfit: dict[str, str] = {}
    wanted = [bench for bench in benches if measure.only is None or bench.name in measure.only]
    for _ in range(min(rounds, measure.rounds)):
        for bench in wanted:
            try:
                results.setdefault(bench.name, []).append(measure.function(bench))
            except (Unfit, OSError, AssertionError) as error:
                unfit[bench.name] = str(error).splitlines()[0][:80]
    return {name: best(measure, values) for name, values in results.items() if values} | unfit


def ratio(measure: Measure, values: Values) -> float | None:
    """How many times better sampand is than the best of those it is compared with."""
    ours = values.get("sampand")
    theirs = [value for name in measure.against if isinstance(value := values.get(name), float)]
    if not isinstance(ours, float) or not theirs or not ours:
        return None
    return ours / best(measure, theirs) if measure.more_is_better else best(measure, theirs) / ours


def verdict(measure: Measure, values: Values) -> str:
    """What is required and whether it holds."""
    said = []
    ours = values.get("sampand")
    if measure.limit is not None:
        holds = isinstance(ours, float) and ours <= measure.limit
        said.append(f"at most {measure.limit:g} {measure.unit}: {'yes' if holds else 'NO'}")
    if measure.factor is not None:
        times = ratio(measure, values)
        said.append(f"{measure.factor:g} times: {'yes' if times is not None and times >= measure.factor else 'NO'}")
    return ", ".join(said)


def shown(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def row(measure: Measure, values: Values, names: list[str]) -> str:
    times = ratio(measure, values)
    cells = [f"{measure.title}, {measure.unit}", *(shown(values.get(name)) for name in names)]
    cells += [f"{times:.1f}x" if times else "", verdict(measure, values)]
    return f"| {' | '.join(cells)} |"


def heading(names: list[str]) -> list[str]:
    cells = ["measure", *names, "better than dockerd by", "required"]
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def about(rounds: int) -> str:
    peers = ", ".join(f"{name} {peer_version(name)}" for name in ("docker.io", "podman", "crun", "runc"))
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{when}; Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; {peers}. "
        f"Data roots on a loop ext4 over RAM; medians within a round, the best of {rounds} rounds; load before the run "
        f"{os.getloadavg()[0]:.1f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=", ".join(measure.name for measure in MEASURES))
    parser.add_argument("--engines", default=";".join(KINDS), help="separated by semicolons")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", metavar="NAME", help="write bench/results/NAME.md and NAME.json")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - {measure.name for measure in MEASURES}
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    measures = [measure for measure in MEASURES if not chosen.names or measure.name in chosen.names]
    names = chosen.engines.split(";")
    note = about(chosen.rounds)
    print(note, *heading(names), sep="\n", flush=True)
    rows, results, benches = [], {}, []
    try:
        for name in names:
            benches.append(Bench(name))
        for measure in measures:
            results[measure.name] = take(measure, benches, chosen.rounds)
            rows.append(row(measure, results[measure.name], names))
            print(rows[-1], flush=True)
    finally:
        for bench in benches:
            bench.close()
    if chosen.write:
        folder = HERE / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"{chosen.write}.md").write_text("\n".join([note, "", *heading(names), *rows, ""]))
        (folder / f"{chosen.write}.json").write_text(json.dumps({"about": note, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
