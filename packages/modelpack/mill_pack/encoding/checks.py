"""The slow, complete look at rows that the fast path would not take: every wrong feature named, with the closest known name."""

import difflib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from mill_contracts.tables import ColumnKind

from mill_pack.encoding.values import NUMBER_READERS, WrongValue, read_text
from mill_pack.errors import InvalidInput
from mill_pack.signature import FeatureSpec

MAX_ERRORS = 100
MAX_HINTS = 5
"""Looking for the closest of thousands of names is slow, so a row of nonsense gets only a few hints."""

Errors = list[dict[str, Any]]


def check_rows(rows: Sequence[object], features: Sequence[FeatureSpec], pointer: str) -> None:
    """Raises `InvalidInput` naming up to `MAX_ERRORS` wrong values of all rows."""
    known = {feature.name: feature for feature in features}
    errors: Errors = []
    for number, row in enumerate(rows):
        errors += row_errors(row, known, f"{pointer}/{number}")
        if len(errors) >= MAX_ERRORS:
            break
    raise_if_any(errors)


def check_row(row: object, features: Sequence[FeatureSpec], pointer: str) -> None:
    raise_if_any(row_errors(row, {feature.name: feature for feature in features}, pointer))


def raise_if_any(errors: Errors) -> None:
    if not errors:
        return
    first = errors[0]
    more = f" ({len(errors) - 1} more in errors)" if len(errors) > 1 else ""
    where = first.get("pointer") or first.get("column")
    raise InvalidInput(f"{where}: {first['detail']}{more}", errors=errors[:MAX_ERRORS])


def row_errors(row: object, known: Mapping[str, FeatureSpec], pointer: str) -> Errors:
    if not isinstance(row, Mapping):
        return [{"pointer": pointer, "detail": "must be an object with one member per feature"}]
    values: Mapping[object, object] = row  # pyright: ignore[reportUnknownVariableType]
    errors: Errors = []
    for name, feature in known.items():
        reason = _reason(values, name, feature)
        if reason:
            errors.append({"pointer": f"{pointer}/{escape(name)}", "detail": reason})
    unknown = (str(name) for name in values if name not in known)
    for count, name in enumerate(islice(unknown, MAX_ERRORS)):
        hint = _closest(name, known) if count < MAX_HINTS else ""
        errors.append({"pointer": f"{pointer}/{escape(name)}", "detail": f"is no feature of this model{hint}"})
    return errors


def escape(name: str) -> str:
    """A name as one token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _reason(values: Mapping[object, object], name: str, feature: FeatureSpec) -> str | None:
    if name not in values:
        hint = "; send null where it is not known" if feature.nullable else ""
        return f"is missing{hint}" if feature.required else None
    value = values[name]
    if value is None:
        return None if feature.nullable else "may not be null: it was never missing in training"
    try:
        if feature.kind is ColumnKind.STRING:
            read_text(value)
        else:
            NUMBER_READERS[feature.kind](value)
    except WrongValue as wrong:
        return str(wrong)
    return None


def _closest(name: str, known: Mapping[str, FeatureSpec]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
