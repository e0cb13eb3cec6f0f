"""Dates as epoch milliseconds in UTC, and their parts by whole-number arithmetic that is the same for one row and for a column."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mill_pack.arrays import FloatArray

MAX_MILLISECONDS = 8.64e15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY = 86_400_000
_HOUR = 3_600_000

Whole = TypeVar("Whole", int, NDArray[np.int64])


def parse_iso(text: str) -> float | None:
    """`2024-01-31`, `2024-01-31T10:00:00+02:00`; without an offset it is UTC. None where it is no ISO 8601 date."""
    if len(text) > 40:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return float((moment - _EPOCH) // _MILLISECOND)


def part_of_float(part: str, milliseconds: float) -> float:
    return float(PARTS[part](math.floor(milliseconds))) if milliseconds == milliseconds else milliseconds


def part_of_column(part: str, milliseconds: FloatArray) -> FloatArray:
    present = ~np.isnan(milliseconds)
    result = np.full(milliseconds.shape, np.nan)
    result[present] = WHOLE_COLUMN_PARTS[part](np.floor(milliseconds[present]).astype(np.int64))
    return result


def _year_and_month(milliseconds: Whole) -> tuple[Whole, Whole]:
    """Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day comes last."""
    days = milliseconds // _DAY + 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = (shifted_month + 2) % 12 + 1
    year = year_of_era + era * 400 + (14 - month) // 12
    return year, month


def _year(milliseconds: Whole) -> Whole:
    return _year_and_month(milliseconds)[0]


def _month(milliseconds: Whole) -> Whole:
    return _year_and_month(milliseconds)[1]


def _weekday(milliseconds: Whole) -> Whole:
    """Monday is 0."""
    return (milliseconds // _DAY + 3) % 7


def _hour(milliseconds: Whole) -> Whole:
    return milliseconds // _HOUR % 24


PARTS: dict[str, Callable[[int], int]] = {"year": _year, "month": _month, "weekday": _weekday, "hour": _hour}
WHOLE_COLUMN_PARTS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "year": _year,
    "month": _month,
    "weekday": _weekday,
    "hour": _hour,
}
