"""Our calendar is Python's calendar, for one moment and for a column of them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mill_pack.encoding.dates import parse_iso, part_of_column, part_of_float

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_parts_are_those_of_the_calendar(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    milliseconds = float((moment - EPOCH) // timedelta(milliseconds=1))
    expected = {"year": moment.year, "month": moment.month, "weekday": moment.weekday(), "hour": moment.hour}
    for part, value in expected.items():
        assert part_of_float(part, milliseconds) == value
        assert part_of_column(part, np.array([milliseconds, np.nan])).tolist()[0] == value


def test_a_missing_date_has_missing_parts() -> None:
    assert np.isnan(part_of_column("year", np.array([np.nan]))).all()
    assert part_of_float("year", float("nan")) != part_of_float("year", float("nan"))


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "2024-01-01" * 10, "\x00"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_iso(text) is None
