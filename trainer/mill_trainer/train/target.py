"""The target column as the libraries want it: class indices or numbers, with every reason to refuse it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import numpy as np
from mill_contracts.recipe import Recipe, Task
from mill_contracts.tables import ColumnKind, TableWarning
from numpy.typing import NDArray

from mill_trainer.train.errors import ClassesWrong, ClassTooSmall, TargetConstant, TargetMissing, TargetNotNumeric
from mill_trainer.train.table import Rows, Table, is_missing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_NAMED = 5
MOST_CLASSES = 1_000
"""Boosting grows a tree a round for each class; beyond this a target is an identifier or a number."""


@dataclass(frozen=True)
class Target:
    """`y` holds class indices (int64) into `classes`, or float64 values; one for each of the table's kept `rows`."""

    y: NDArray[Any]
    rows: Rows
    classes: tuple[str, ...] = ()
    warnings: tuple[TableWarning, ...] = ()


def read_target(table: Table, recipe: Recipe) -> Target:
    """Take the target from the table; rows without one are left out and counted in a warning."""
    name = recipe.target
    if name not in table.columns:
        closest = table.closest(name)
        hint = f' Did you mean "{closest}"?' if closest else f" It has: {', '.join(table.columns)}."
        raise TargetMissing(f'The table has no column "{name}".{hint}'[:1000])
    column = table.columns[name]
    missing = is_missing(column)
    rows = np.flatnonzero(~missing)
    if len(rows) == 0:
        raise TargetMissing(f'The target "{name}" has no value in any row: choose another column.')
    warnings = _about_missing(name, int(missing.sum()))
    kept, kind = column[rows], table.kinds[name]
    if recipe.task is Task.REGRESSION:
        return Target(_numbers(name, kept, kind), rows, warnings=warnings)
    y, classes = _classes(name, kept, kind)
    _check_class_options(recipe, classes)
    return Target(y, rows, classes, warnings)


def _about_missing(name: str, count: int) -> tuple[TableWarning, ...]:
    if not count:
        return ()
    detail = f"{count} rows have no target and were left out"
    return (TableWarning(code="target-missing-rows", column=name, detail=detail),)


def _numbers(name: str, column: NDArray[Any], kind: ColumnKind) -> NDArray[np.float64]:
    if kind not in (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN):
        raise TargetNotNumeric(f'The target "{name}" holds {kind.value} values: train a classification instead.')
    if not np.isfinite(column).all():
        raise TargetNotNumeric(f'The target "{name}" holds infinite values: remove those rows.')
    if np.ptp(column) == 0:
        raise TargetConstant(f'Every row of the target "{name}" is {column[0]:g}: there is nothing to learn.')
    return column.astype(np.float64)


def _classes(name: str, column: NDArray[Any], kind: ColumnKind) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    values: list[Any] = sorted(set(column.tolist()))
    code = {value: index for index, value in enumerate(values)}
    y = np.fromiter((code[value] for value in column.tolist()), dtype=np.int64, count=len(column))
    classes = tuple(label(value, kind) for value in values)
    if len(classes) == 1:
        raise TargetConstant(f'Every row of the target "{name}" is "{classes[0]}": there is nothing to learn.')
    single = [name for name, count in zip(classes, np.bincount(y), strict=True) if count == 1]
    if single:
        named = ", ".join(f'"{one}"' for one in single[:_MOST_NAMED])
        more = f" and {len(single) - _MOST_NAMED} more" if len(single) > _MOST_NAMED else ""
        other = " Or train a regression." if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) else ""
        raise ClassTooSmall(
            f'These classes of "{name}" have one row only: {named}{more}. A class needs two rows at least, one to learn '
            f"from and one to measure with: add rows, merge classes or leave these rows out.{other}"
        )
    if len(classes) > MOST_CLASSES:
        raise ClassesWrong(
            f'The target "{name}" has {len(classes)} classes; {MOST_CLASSES} is the most. Merge classes, or train a regression.'
        )
    return y, classes


def label(value: Any, kind: ColumnKind) -> str:
    """A class as text: `true`, `3`, `2.5`, `2024-05-01`, or the string itself."""
    match kind:
        case ColumnKind.BOOLEAN:
            return "true" if value else "false"
        case ColumnKind.DATE:
            return (_EPOCH + timedelta(milliseconds=float(value))).date().isoformat()
        case ColumnKind.TIMESTAMP:
            return (_EPOCH + timedelta(milliseconds=float(value))).isoformat()
        case ColumnKind.STRING:
            return str(value)
        case _:
            number = float(value)
            return str(int(number)) if number.is_integer() else repr(number)


def _check_class_options(recipe: Recipe, classes: tuple[str, ...]) -> None:
    for pointer, name in _named_classes(recipe):
        if name not in classes:
            closest = get_close_matches(name, classes, n=1, cutoff=0.0)
            detail = f'The target has no class "{name}"; did you mean "{closest[0] if closest else classes[0]}"?'
            raise ClassesWrong(detail, errors=[{"pointer": pointer, "detail": detail}])
    if len(classes) > 2 and (recipe.decision_threshold is not None or recipe.positive_class is not None):
        raise ClassesWrong(
            f"A decision threshold and a positive class need two classes; the target has {len(classes)}: leave them out."
        )
    shown = [recipe.class_labels.get(name, name) for name in classes]
    if len(set(shown)) < len(shown):
        raise ClassesWrong("Two classes would be shown under one label: give each its own in class_labels.")


def _named_classes(recipe: Recipe) -> list[tuple[str, str]]:
    named = [("/class_labels", name) for name in recipe.class_labels]
    if recipe.positive_class is not None:
        named.append(("/positive_class", recipe.positive_class))
    weights = recipe.parameters.get("class_weight")
    if isinstance(weights, dict):
        named += [("/parameters/class_weight", str(name)) for name in weights]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON from the recipe
    return named
