"""Which rows a model learns from and which it is measured with; every choice follows from the recipe's seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from mill_contracts.recipe import Recipe, Task, Validation
from mill_contracts.tables import ColumnKind

from mill_trainer.train.errors import ClassTooSmall, InvalidParameters, TooFewRows
from mill_trainer.train.table import Rows, Table
from mill_trainer.train.target import Target


@dataclass(frozen=True)
class Split:
    """Row numbers of the two parts, in the table's order (in the order of time where the recipe names a time column)."""

    training: Rows
    holdout: Rows


def split_holdout(table: Table, target: Target, recipe: Recipe) -> Split:
    """Keep `test_size` of the rows away: the latest ones, or drawn by class, or drawn from all."""
    rules = recipe.validation
    count = len(target.y)
    if count < 2:
        raise TooFewRows(
            "One row has a target: a training needs two at least, one to learn from and one to measure with."
        )
    size = min(max(round(count * rules.test_size), 1), count - 1)
    if rules.time_column:
        order = time_order(table, rules.time_column)
        split = Split(order[: count - size], order[count - size :])
    elif recipe.task is Task.CLASSIFICATION and rules.stratify:
        split = _stratified(target, rules, recipe.seed)
    else:
        order = np.random.default_rng(recipe.seed).permutation(count)
        split = Split(np.sort(order[size:]), np.sort(order[:size]))
    require_every_class(target, split.training, "the training part")
    return split


def folds(split: Split, target: Target, recipe: Recipe) -> Iterator[Split]:
    """The folds of a cross-validation inside the training part; over time, each fold is measured on what came after it."""
    rules = recipe.validation
    count = len(split.training)
    if count < 2 * rules.folds:
        raise TooFewRows(f"{rules.folds} folds need {2 * rules.folds} training rows at least; there are {count}.")
    number = _fold_numbers(split, target, recipe)
    for fold in range(1 if rules.time_column else 0, rules.folds):
        learn = split.training[number < fold] if rules.time_column else split.training[number != fold]
        require_every_class(target, learn, f"what is learnt for fold {fold + 1}")
        yield Split(learn, split.training[number == fold])


def fold_count(rules: Validation) -> int:
    """How many fits the cross-validation makes."""
    if rules.method != "cross_validation":
        return 0
    return rules.folds - 1 if rules.time_column else rules.folds


def time_order(table: Table, name: str) -> Rows:
    """Rows by time; those without one come first, so that they are learnt from and never measured with."""
    if table.kinds[name] in (ColumnKind.STRING, ColumnKind.BOOLEAN, ColumnKind.EMPTY):
        detail = f'The time column "{name}" holds {table.kinds[name].value} values: name a date, time or number column.'
        raise InvalidParameters(detail, errors=[{"pointer": "/validation/time_column", "detail": detail}])
    return np.argsort(np.nan_to_num(table.columns[name], nan=-np.inf), kind="stable")


def require_every_class(target: Target, rows: Rows, where: str) -> None:
    """A class nobody learns from cannot be predicted; say so before the library stumbles over it."""
    if not target.classes:
        return
    counts = np.bincount(target.y[rows], minlength=len(target.classes))
    absent = [name for name, count in zip(target.classes, counts, strict=True) if count == 0]
    if absent:
        raise ClassTooSmall(
            f'The class "{absent[0]}" has no row in {where}: add rows of it, stratify, use fewer folds or a smaller test_size.'
        )


def _stratified(target: Target, rules: Validation, seed: int) -> Split:
    random = np.random.default_rng(seed)
    holdout: list[Rows] = []
    for index in range(len(target.classes)):
        members = random.permutation(np.flatnonzero(target.y == index))
        size = min(max(round(len(members) * rules.test_size), 1), len(members) - 1)
        holdout.append(members[:size])
    kept = np.sort(np.concatenate(holdout))
    return Split(np.setdiff1d(np.arange(len(target.y)), kept), kept)


def _fold_numbers(split: Split, target: Target, recipe: Recipe) -> Rows:
    rules = recipe.validation
    count = len(split.training)
    if rules.time_column:
        return np.arange(count) * rules.folds // count
    random = np.random.default_rng(recipe.seed)
    order = random.permutation(count)
    if target.classes and rules.stratify:
        order = order[np.argsort(target.y[split.training][order], kind="stable")]
    number = np.empty(count, dtype=np.intp)
    number[order] = np.arange(count) % rules.folds
    return number
