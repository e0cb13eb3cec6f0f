"""The real tables of `examples/data`, whole: counts that are known, labels as found, statistics checked by hand."""

import csv
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mill_contracts.tables import ColumnKind, ColumnStatistics, DatasetReport
from mill_contracts.tasks import ProfileTask
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

MakeTask = Callable[..., ProfileTask]
Read = Callable[[Path], dict[str, list[Any]]]


def column(report: DatasetReport, name: str) -> ColumnStatistics:
    return next(each for each in report.columns if each.name == name)


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["adult.csv", "titanic.csv", "diamonds.csv"])
def test_every_value_of_a_real_table_arrives(
    name: str, examples: Path, profile_task: MakeTask, read_parquet: Read
) -> None:
    rows = cells(examples / name)
    task = profile_task((examples / name).read_bytes(), name)

    report = profile(task, SilentReport())

    table = read_parquet(task.out_dir / "data.parquet")
    assert report.rows == len(rows)
    assert list(table) == list(rows[0])
    readers: dict[ColumnKind, Callable[[str], object]] = {
        ColumnKind.INTEGER: int,
        ColumnKind.NUMBER: float,
        ColumnKind.BOOLEAN: lambda cell: cell == "True",
        ColumnKind.STRING: str,
    }
    for each in report.columns:
        read = readers[each.kind]
        found = [row[each.name] for row in rows]
        assert table[each.name] == [read(cell) if cell else None for cell in found], each.name
        assert each.missing == found.count("")
        assert each.distinct == len(set(found) - {""})


def test_the_raw_census_table_keeps_its_four_labels_and_warns(
    examples: Path, profile_task: MakeTask, read_parquet: Read
) -> None:
    task = profile_task((examples / "adult_raw.csv").read_bytes(), "adult_raw.csv")

    report = profile(task, SilentReport())

    income = column(report, " income")
    assert {top.value for top in income.top_values} == {" <=50K", " >50K", " <=50K.", " >50K."}
    assert sum(top.count for top in income.top_values) == report.rows == 48_842
    told = {(warning.code, warning.column) for warning in report.warnings}
    assert ("near-duplicate-labels", " income") in told
    assert ("question-mark-missing", " workclass") in told
    assert ("surrounding-whitespace", " education-num") in told
    assert column(report, " education-num").kind is ColumnKind.INTEGER
    assert Counter(read_parquet(task.out_dir / "data.parquet")[" income"])[" <=50K."] == 12_435


def test_the_clean_census_table_has_two_labels_and_no_such_warning(examples: Path, profile_task: MakeTask) -> None:
    report = profile(profile_task((examples / "adult.csv").read_bytes()), SilentReport())

    assert column(report, "income").distinct == 2
    assert "near-duplicate-labels" not in {warning.code for warning in report.warnings}


def test_statistics_agree_with_those_of_python(examples: Path, profile_task: MakeTask) -> None:
    prices = sorted(float(row["price"]) for row in cells(examples / "diamonds.csv"))

    price = column(profile(profile_task((examples / "diamonds.csv").read_bytes()), SilentReport()), "price")

    assert (price.minimum, price.maximum) == (prices[0], prices[-1])
    assert price.mean == pytest.approx(statistics.fmean(prices))
    assert price.standard_deviation == pytest.approx(statistics.stdev(prices))
    hundredths = statistics.quantiles(prices, n=100, method="inclusive")
    for name, value in price.quantiles.items():
        assert value == pytest.approx(hundredths[round(float(name) * 100) - 1])
    assert sum(each.count for each in price.histogram) == len(prices)
    first = price.histogram[0]
    assert first.count == sum(first.low <= value < first.high for value in prices)
    assert price.histogram[-1].high == prices[-1]


def test_the_same_file_gives_the_same_bytes_twice(examples: Path, profile_task: MakeTask) -> None:
    content = (examples / "titanic.csv").read_bytes()

    first, second = (profile(profile_task(content), SilentReport()) for _ in range(2))

    assert first == second
