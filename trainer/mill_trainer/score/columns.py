# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyarrow ships no types and makes its compute functions at import; it is confined to a few modules with typed signatures.
"""From batches of a canonical Parquet to the arrays a model package predicts from, checked against its signature.

A whole number may stand where the model knows fractions, and a date where it knows moments. An integer where it knows
text is taken as its digits, with a warning. Anything else is refused by column and row.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mill_contracts.tables import ColumnKind, TableWarning
from mill_pack import Columns, FeatureSpec, Signature

from mill_trainer.score.problems import MissingColumns, WrongColumnKind

_MOMENTS = (ColumnKind.DATE, ColumnKind.TIMESTAMP)
_FITTING: dict[ColumnKind, tuple[ColumnKind, ...]] = {
    ColumnKind.NUMBER: (ColumnKind.NUMBER, ColumnKind.INTEGER),
    ColumnKind.INTEGER: (ColumnKind.INTEGER, ColumnKind.NUMBER),
    ColumnKind.BOOLEAN: (ColumnKind.BOOLEAN,),
    ColumnKind.STRING: (ColumnKind.STRING, ColumnKind.INTEGER),
    ColumnKind.DATE: _MOMENTS,
    ColumnKind.TIMESTAMP: _MOMENTS,
}


def check_columns(signature: Signature, schema: Any) -> list[TableWarning]:
    """Refuse a table whose columns the model cannot use; all of them are named at once."""
    _check_present(signature, list(schema.names))
    wrong: list[dict[str, object]] = []
    warnings: list[TableWarning] = []
    for feature in signature.features:
        kind = kind_of(schema.field(feature.name).type)
        fits = kind in _FITTING.get(feature.kind, (kind,))
        if not fits and kind is not ColumnKind.STRING:  # text may be empty throughout; its values decide
            detail = f"The model was trained with {feature.kind} in this column, and the table holds {kind}."
            wrong.append({"column": feature.name, "detail": detail})
        elif feature.kind is ColumnKind.STRING and kind is ColumnKind.INTEGER:
            detail = (
                f"Column {feature.name!r} holds integers where the model knows text; their digits are used as text."
            )
            warnings.append(TableWarning(code="kind-differs", column=feature.name, detail=detail))
    if wrong:
        names = ", ".join(repr(str(each["column"])) for each in wrong)
        raise WrongColumnKind(f"These columns do not fit the model: {names}.", errors=wrong)
    return warnings


def _check_present(signature: Signature, names: Sequence[str]) -> None:
    missing = [feature.name for feature in signature.features if feature.name not in names]
    if not missing:
        return
    errors: list[dict[str, object]] = []
    for name in missing:
        closest = get_close_matches(name, names, n=1)
        hint = f" Did you mean {closest[0]!r}?" if closest else ""
        errors.append({"column": name, "detail": f"The model needs the column {name!r} and the table lacks it.{hint}"})
    shown = ", ".join(repr(name) for name in missing[:10])
    raise MissingColumns(f"The table lacks {len(missing)} of the model's columns: {shown}.", errors=errors)


def kind_of(arrow_type: Any) -> ColumnKind:
    """The kind a model sees in a canonical column."""
    is_type = pa.types
    checks: Iterator[tuple[ColumnKind, bool]] = iter(
        (
            (ColumnKind.BOOLEAN, is_type.is_boolean(arrow_type)),
            (ColumnKind.INTEGER, is_type.is_integer(arrow_type)),
            (ColumnKind.NUMBER, is_type.is_floating(arrow_type)),
            (ColumnKind.DATE, is_type.is_date(arrow_type)),
            (ColumnKind.TIMESTAMP, is_type.is_timestamp(arrow_type)),
        )
    )
    return next((kind for kind, fits in checks if fits), ColumnKind.STRING)


def model_columns(signature: Signature, batch: Any, first_row: int) -> Columns:
    """The features of one batch, whose first row is `first_row` (0-based) of the table."""
    return {feature.name: _values(feature, batch.column(feature.name), first_row) for feature in signature.features}


def _values(feature: FeatureSpec, column: Any, first_row: int) -> Any:
    if feature.kind is ColumnKind.STRING:
        return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
    kind = kind_of(column.type)
    if kind is ColumnKind.STRING:
        _refuse_text(feature, column, first_row)
        return np.full(len(column), np.nan)
    if kind in _MOMENTS:
        column = pc.cast(column, pa.timestamp("ms"), safe=False).cast(pa.int64())
    numbers = pc.cast(column, pa.float64(), safe=False)
    return np.array(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def _refuse_text(feature: FeatureSpec, column: Any, first_row: int) -> None:
    if column.null_count == len(column):
        return
    at = pc.index(pc.is_valid(column), True).as_py()
    value = column[at].as_py()[:40]
    detail = f"Row {first_row + at + 1} holds {value!r}, which is text; the model was trained with {feature.kind}."
    raise WrongColumnKind(
        f"Column {feature.name!r} does not fit the model. {detail}", errors=[{"column": feature.name, "detail": detail}]
    )
