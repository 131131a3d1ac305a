"""Columns of text: cells end in a tab, as in Go's text/tabwriter with docker's settings."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST, PADDING = 10, 3


def align(lines: Sequence[str], least: int = LEAST, padding: int = PADDING) -> str:
    """Return `lines` with tabs turned into columns; a column is as wide as its widest cell in neighbouring lines."""
    rows = [line.split("\t") for line in lines]
    for column in range(max((len(row) for row in rows), default=1) - 1):
        for run in _runs(rows, column):
            width = max(least, padding + max(len(row[column]) for row in run))
            for row in run:
                row[column] = row[column].ljust(width)
    return "".join("".join(row) + "\n" for row in rows)


def _runs(rows: list[list[str]], column: int) -> list[list[list[str]]]:
    """Return the runs of neighbouring rows that have this column (its cell ended by a tab)."""
    runs: list[list[list[str]]] = [[]]
    for row in rows:
        if len(row) > column + 1:
            runs[-1].append(row)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
