"""Which columns a model learns from: all but the target and what the recipe excludes, minus those that hold nothing."""

import numpy as np
from mill_contracts.recipe import Recipe
from mill_contracts.tables import ColumnKind, TableWarning
from mill_pack.errors import InvalidExpression
from mill_pack.expressions import compile_expression
from mill_pack.signature import NUMERIC_KINDS

from mill_trainer.train.errors import ColumnMissing, InfiniteValues, NoFeatures
from mill_trainer.train.table import Column, Table, has_infinity, is_missing

_MANY_DISTINCT = 0.9
"""A text column with this share of distinct values is more likely an identifier than a category."""


def choose_features(table: Table, recipe: Recipe) -> tuple[tuple[str, ...], tuple[TableWarning, ...]]:
    """The features in file order, and what a person should know about them. `table` holds the rows with a target."""
    _require_columns(table, recipe)
    _check_derived(table, recipe)
    wanted = recipe.features if recipe.features is not None else tuple(table.columns)
    left_out = {recipe.target, *recipe.exclude}
    features: list[str] = []
    warnings: list[TableWarning] = []
    for name in (name for name in table.columns if name in wanted and name not in left_out):
        missing = is_missing(table.columns[name])
        if table.kinds[name] is ColumnKind.EMPTY or missing.all():
            detail = "No row has a value here: the column was left out"
            warnings.append(TableWarning(code="all-missing-column", column=name, detail=detail))
            continue
        if has_infinity(table.columns[name]):
            raise InfiniteValues(f'The column "{name}" holds infinite values: replace them, or exclude the column.')
        features.append(name)
        warnings.extend(_about(name, table.columns[name][~missing], table.kinds[name], recipe))
    if not features:
        raise NoFeatures(
            f'Besides the target "{recipe.target}" no usable column is left: add columns, or exclude fewer of them.'
        )
    return tuple(features), tuple(warnings)


def _require_columns(table: Table, recipe: Recipe) -> None:
    named = [("/features", name) for name in recipe.features or ()] + [("/exclude", name) for name in recipe.exclude]
    if recipe.validation.time_column:
        named.append(("/validation/time_column", recipe.validation.time_column))
    errors: list[dict[str, str]] = []
    for pointer, name in named:
        if name not in table.columns:
            closest = table.closest(name)
            hint = f'; did you mean "{closest}"?' if closest else ""
            errors.append({"pointer": pointer, "detail": f'The table has no column "{name}"{hint}'})
    if errors:
        raise ColumnMissing(errors[0]["detail"], errors=errors)


def _check_derived(table: Table, recipe: Recipe) -> None:
    """A derived feature brings its columns back as inputs: an excluded one, or the target, which would be a leak."""
    numeric = [name for name, kind in table.kinds.items() if kind in NUMERIC_KINDS]
    errors: list[dict[str, str]] = []
    for index, feature in enumerate(recipe.preprocessing.derived):
        for name in compile_expression(feature.expression, {*numeric, recipe.target}).inputs:
            if name != recipe.target and name not in recipe.exclude:
                continue
            why = (
                "which is the target and is not known when a prediction is asked for: leave it out of the expression."
                if name == recipe.target
                else "which the recipe excludes: take it out of `exclude`, or leave the derived feature out."
            )
            detail = f'The derived feature "{feature.name}" is computed from the column "{name}", {why}'
            errors.append({"pointer": f"/preprocessing/derived/{index}/expression", "detail": detail})
    if errors:
        raise InvalidExpression(errors[0]["detail"], errors=errors)


def _about(name: str, values: Column, kind: ColumnKind, recipe: Recipe) -> list[TableWarning]:
    distinct = len(set(values.tolist())) if kind is ColumnKind.STRING else 1 + (np.min(values) < np.max(values))
    if distinct == 1:
        return [
            TableWarning(code="constant-column", column=name, detail="Every value is the same: nothing to learn from")
        ]
    most = recipe.preprocessing.max_categories
    if kind is not ColumnKind.STRING or distinct <= most:
        return []
    if distinct >= _MANY_DISTINCT * len(values):
        detail = f"{distinct} distinct texts in {len(values)} rows look like identifiers: consider excluding the column"
        return [TableWarning(code="identifier-like-column", column=name, detail=detail)]
    detail = (
        f"{distinct} distinct texts; the {most} most frequent have a code of their own (preprocessing.max_categories)"
    )
    return [TableWarning(code="many-categories", column=name, detail=detail)]
