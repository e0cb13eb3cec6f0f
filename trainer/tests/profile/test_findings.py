"""What a person should look at is told by a stable code and the column."""

from collections.abc import Callable

import pytest
from mill_contracts.tasks import ProfileTask
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

MakeTask = Callable[..., ProfileTask]


def codes_of(task: ProfileTask) -> set[tuple[str, str | None]]:
    return {(warning.code, warning.column) for warning in profile(task, SilentReport()).warnings}


COLUMNS: list[tuple[str, list[str], str]] = [
    ("all missing", [""] * 60, "all-missing"),
    ("mostly missing", ["1"] + [""] * 59, "mostly-missing"),
    ("constant", ["same"] * 60, "constant"),
    ("text id", [f"user-{index}" for index in range(60)], "likely-id"),
    ("running number", [str(index) for index in range(60)], "likely-id"),
    ("case", ["Yes", "yes", "No"] * 20, "near-duplicate-labels"),
    ("inner blanks", ["New York", "New-York", "Rome"] * 20, "near-duplicate-labels"),
    ("final dot", ["<=50K", "<=50K.", ">50K"] * 20, "near-duplicate-labels"),
    ("question marks", ["?", "a", "b"] * 20, "question-mark-missing"),
    ("markers", ["N/A", "a", "b"] * 20, "missing-marker"),
    ("one word among numbers", ["12.5"] * 59 + ["unclear"], "mixed-column"),
    ("European dates", ["31.12.2026", "1.1.2027", "2.3.2027"] * 20, "dates-kept-as-text"),
    ("American dates", ["12/31/2026", "1/1/27", "2/3/27"] * 20, "dates-kept-as-text"),
    ("money", ['"1,250.00"', "$3", '"2,000"'] * 20, "numbers-kept-as-text"),
    ("codes", ["007", "012", "100"] * 20, "numbers-kept-as-text"),
    ("huge integers", ["12345678901234567890"] * 30 + ["22345678901234567890"] * 30, "numbers-kept-as-text"),
    ("beyond floats", ["9007199254740993", "1", "2"] * 20, "integers-beyond-2-53"),
]


@pytest.mark.parametrize(("cells", "code"), [row[1:] for row in COLUMNS], ids=[row[0] for row in COLUMNS])
def test_a_doubtful_column_is_told(cells: list[str], code: str, profile_task: MakeTask) -> None:
    task = profile_task(("x,y\n" + "".join(f"{cell},{index % 7}\n" for index, cell in enumerate(cells))).encode())

    assert (code, "x") in codes_of(task)


def test_labels_that_differ_in_meaning_are_not_called_near_duplicates(profile_task: MakeTask) -> None:
    labels = ["<=50K", ">50K", "-1 C", "1 C", "A+", "A", "C++", "C", "Self-emp-inc", "Self-emp-not-inc"]

    assert codes_of(profile_task(("x,y\n" + "".join(f"{label},1\n2,2\n" for label in labels)).encode())) <= {
        ("mixed-column", "x")
    }


def test_a_first_line_of_numbers_is_told(profile_task: MakeTask) -> None:
    assert ("header-looks-like-data", None) in codes_of(profile_task(b"39,77516\n50,83311\n"))


def test_extreme_numbers_leave_out_what_cannot_be_said(profile_task: MakeTask) -> None:
    report = profile(profile_task(b"x,y\n1e308,1\n-1e308,2\n1.5e308,3\n"), SilentReport())

    assert report.columns[0].maximum == 1.5e308
    assert report.columns[0].standard_deviation is None
    assert report.columns[0].histogram == ()
    assert report.columns[1].standard_deviation == 1.0
