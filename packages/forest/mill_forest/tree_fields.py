"""Typed, bounded access to the fields of a parsed model file; shared by the readers of XGBoost and LightGBM."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mill_forest.errors import InvalidForest


def section(value: object, *path: str) -> dict[str, Any]:
    """The object found by following `path` through nested objects."""
    for at, key in enumerate((*path, None)):
        if not isinstance(value, dict):
            raise InvalidForest(f"{'.'.join(path[:at]) or 'the model'} is not an object")
        found = cast("dict[str, Any]", value)
        if key is None:
            return found
        if key not in found:
            raise InvalidForest(f"{'.'.join(path[: at + 1])} is missing")
        value = found[key]
    raise AssertionError("unreachable")


def items(fields: Mapping[str, Any], name: str) -> list[Any]:
    """The list under `name`."""
    value = fields.get(name)
    if isinstance(value, np.ndarray):
        return cast("list[Any]", value.tolist())
    if not isinstance(value, list):
        raise InvalidForest(f"{name} is not a list")
    return cast("list[Any]", value)


def text(fields: Mapping[str, Any], name: str) -> str:
    """The text under `name`."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidForest(f"{name} is not a text")
    return value


def whole(value: object, name: str, lowest: int = 0, highest: int = 2**31 - 1) -> int:
    """A whole number in range, given as a number or as its text."""
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= highest:
        raise InvalidForest(f"{name} is {str(value)[:40]!r}, not a whole number from {lowest} to {highest}")
    return number


def integers(fields: Mapping[str, Any], name: str, length: int | None = None) -> NDArray[np.int64]:
    """The whole numbers under `name`."""
    return _numbers(fields, name, length, np.int64, "iub")


def floats(fields: Mapping[str, Any], name: str, length: int | None = None) -> NDArray[np.float64]:
    """The numbers under `name`, as float64."""
    return _numbers(fields, name, length, np.float64, "iubf")


def _numbers(fields: Mapping[str, Any], name: str, length: int | None, dtype: type[Any], kinds: str) -> NDArray[Any]:
    value = fields.get(name)
    if not isinstance(value, list | np.ndarray):
        raise InvalidForest(f"{name} is not a list of numbers")
    given = cast("list[Any] | NDArray[Any]", value)
    try:
        array: NDArray[Any] = np.asarray(given) if len(given) else np.zeros(0, dtype)
    except (ValueError, OverflowError) as error:
        raise InvalidForest(f"{name} is not a list of numbers") from error
    if array.ndim != 1 or array.dtype.kind not in kinds:
        raise InvalidForest(f"{name} is not a list of numbers")
    if length is not None and len(array) != length:
        raise InvalidForest(f"{name} has {len(array)} items, expected {length}")
    return array.astype(dtype)
