"""Reading one JSON value as its column's kind: what is taken, what is refused, and in which words."""

import math
from collections.abc import Callable

from mill_contracts.tables import ColumnKind

from mill_pack.encoding.dates import MAX_MILLISECONDS, parse_iso

NumberReader = Callable[[object], float]


class WrongValue(Exception):  # noqa: N818 - it is what is wrong with a value, not a failure
    """Internal: the value is not of its column's kind; the message is for the caller of the API."""


def read_number(value: object) -> float:
    kind = type(value)
    if kind is float:
        number: float = value  # pyright: ignore[reportAssignmentType] - the exact type was just looked at
    elif kind is int:
        number = _from_int(value)  # pyright: ignore[reportArgumentType]
    elif isinstance(value, float):
        number = float(value)
    else:
        raise WrongValue(f"must be a number, not {describe(value)}")
    if number - number != 0.0:
        raise WrongValue("must be a finite number; send null where the value is missing")
    return number


def read_integer(value: object) -> float:
    number = read_number(value)
    if not number.is_integer():
        raise WrongValue(f"must be a whole number, not {number!r}")
    return number


def read_boolean(value: object) -> float:
    if value is True:
        return 1.0
    if value is False:
        return 0.0
    raise WrongValue(f"must be true or false, not {describe(value)}")


def read_moment(value: object) -> float:
    if isinstance(value, str):
        milliseconds = parse_iso(value)
        if milliseconds is None:
            raise WrongValue(f"must be an ISO 8601 date such as 2024-01-31T10:00:00Z, not {value[:40]!r}")
        return milliseconds
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongValue(f"must be an ISO 8601 date or epoch milliseconds, not {describe(value)}")
    number = read_number(value)
    if abs(number) > MAX_MILLISECONDS:
        raise WrongValue("is outside the calendar; epoch milliseconds are expected")
    return number


def read_date(value: object) -> float:
    """A bare number is no date: 20260105 and a count of days would both be read as a morning of 1970."""
    if isinstance(value, str):
        return read_moment(value)
    raise WrongValue(f"must be a date as text, such as 2026-01-05, not {describe(value)}")


def read_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise WrongValue(f"must be a string, not {describe(value)}")


NUMBER_READERS: dict[ColumnKind, NumberReader] = {
    ColumnKind.NUMBER: read_number,
    ColumnKind.INTEGER: read_integer,
    ColumnKind.BOOLEAN: read_boolean,
    ColumnKind.DATE: read_date,
    ColumnKind.TIMESTAMP: read_moment,
}


def describe(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {value[:40]!r}"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "an array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__


def _from_int(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
