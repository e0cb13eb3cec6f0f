"""The census table, and five rows of it that no model gets to see."""

import csv
import random
from pathlib import Path

DATA = Path(__file__).parent / "data" / "adult.csv"
TARGET = "income"
HELD_OUT = {"<=50K": 3, ">50K": 2}
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")

Row = dict[str, str]


def hold_out(source: Path, folder: Path) -> tuple[Path, list[Row]]:
    """Write `source` without five rows to `folder/adult.csv`; the file and those rows, the same ones in every run.

    A row that occurs twice would be seen after all, so only rows that occur once are held out.
    """
    with source.open(newline="") as stream:
        reader = csv.DictReader(stream)
        columns = list(reader.fieldnames or ())
        rows = list(reader)
    counts: dict[tuple[str, ...], int] = {}
    for row in rows:
        key = inputs(row)
        counts[key] = counts.get(key, 0) + 1
    unique = [index for index, row in enumerate(rows) if counts[inputs(row)] == 1]
    chosen: set[int] = set()
    for label, count in HELD_OUT.items():
        candidates = [index for index in unique if rows[index][TARGET] == label]
        chosen.update(random.Random(2026).sample(candidates, count))  # noqa: S311 - the same choice in every run is the point
    goal = folder / "adult.csv"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with goal.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for index, row in enumerate(rows) if index not in chosen)
    return goal, [rows[index] for index in sorted(chosen)]


def inputs(row: Row) -> tuple[str, ...]:
    return tuple(value for name, value in row.items() if name != TARGET)


def features(row: Row) -> dict[str, str | int | None]:
    """A CSV row as the model wants it: numbers as numbers, empty as missing, no target."""
    typed: dict[str, str | int | None] = {}
    for name, value in row.items():
        if name != TARGET:
            typed[name] = None if value == "" else int(value) if name in NUMBERS else value
    return typed
