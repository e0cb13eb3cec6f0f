"""How rows and tables come to a package under the policy of their deployment. Every door hands its input to this one place.

A table goes to the package column by column where all of it is as the signature says; whatever is unusual is read again row by
row, which is the one authority on what is refused and names row and feature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mill_contracts.routing import Policy
from mill_contracts.tables import ColumnKind
from mill_pack import Encoded, Explanations, FeatureSpec, InvalidInput, Package, Prediction, Predictions
from numpy.typing import NDArray

Row = Mapping[str, object]
Table = Mapping[str, NDArray[Any]]
"""Columns of one length by name: numbers and booleans as numpy has them (NaN is missing), all else as objects, None is missing."""

INPUTS = "/inputs"
INPUT_DATA = "/input_data"
_MOST_ERRORS = 100
_MOST_EXTRA = 16
"""So many columns that are no features are read, for the refusal to name them row by row; of more it says no more."""
_DATES = frozenset({ColumnKind.DATE, ColumnKind.TIMESTAMP})

Errors = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which columns of a table are worth unpacking for a model."""

    features: Sequence[FeatureSpec]
    ignores_extra: bool = False

    def chosen(self, names: Sequence[str]) -> list[str]:
        """In the order given; the first where none is a feature, for the number of rows. Raises `InvalidInput` naming columns."""
        features = {feature.name for feature in self.features}
        if self.ignores_extra:
            return [name for name in names if name in features] or list(names[:1])
        extra = [name for name in names if name not in features]
        if len(extra) > _MOST_EXTRA:
            detail = "is no feature of this model"
            errors = [{"pointer": f"{INPUTS}/0/{escape(name)}", "detail": detail} for name in extra[:_MOST_ERRORS]]
            raise InvalidInput(
                f"{errors[0]['pointer']}: {detail}, as {len(extra)} columns of the table are none", errors=errors
            )
        return list(names)


@dataclass(frozen=True, slots=True)
class Intake:
    """A package and the policy of the route that led to it. `threads`: how many a large block may use."""

    package: Package
    policy: Policy | None = None
    threads: int = 1

    def one(self, row: Row) -> Prediction:
        """Raises `InvalidInput`, its pointers under `/input_data`."""
        return self.package.predict_one(self.prepared_one(row))

    def rows(self, rows: Sequence[Row], pointer: str = INPUTS) -> Predictions:
        """Raises `InvalidInput`, its pointers under `pointer`/row."""
        return self.package.predict_rows(self.prepared(rows, pointer), pointer)

    def table(self, table: Table, pointer: str = INPUTS) -> Predictions:
        """Raises `InvalidInput` as `rows` does."""
        encoded = self._encoded(table) if self.takes_any_category else None
        if encoded is not None:
            return self.package.predict_encoded(encoded, self.threads)
        return self.rows(rows_of(table, self.package.signature.features), pointer)

    def matrix(self, matrix: NDArray[Any], pointer: str = INPUTS) -> Predictions:
        """(n, features), in the order of the signature. Raises `InvalidInput` as `rows` does."""
        found = self.quickly(matrix)
        if found is not None:
            return found
        features = self.package.signature.features
        return self.table({feature.name: matrix[:, number] for number, feature in enumerate(features)}, pointer)

    def quickly(self, matrix: NDArray[Any]) -> Predictions | None:
        """What `matrix` finds, where nothing is unusual. Raises `InvalidInput` where a prediction is not finite."""
        encoded = self.package.read_matrix(matrix) if self.takes_any_category else None
        return None if encoded is None else self.package.predict_encoded(encoded, self.threads)

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.package.signature.features, self._ignores_extra)

    @property
    def takes_any_category(self) -> bool:
        """Whether rows that fit the signature fit the policy too, so that they may be read the quick way."""
        return self.policy is None or self.policy.unseen == "accept"

    def explained(self, rows: Sequence[Row], pointer: str) -> Explanations:
        """Raises `InvalidInput`, its pointers under `pointer` (one row) or `pointer`/row; `ExplainUnsupported`."""
        if pointer == INPUT_DATA:
            row = self.prepared_one(rows[0])
            self.package.encoder.check_row(row)
            return self.package.explain_rows([row])
        return self.package.explain_rows(self.prepared(rows, pointer), pointer)

    def prepared_one(self, row: Row, pointer: str = INPUT_DATA) -> Row:
        """The row as the package shall see it. Raises `InvalidInput`, its pointers under `pointer`."""
        return self.prepared([row], pointer, numbered=False)[0]

    def prepared(self, rows: Sequence[Row], pointer: str, *, numbered: bool = True) -> Sequence[Row]:
        """The rows as the package shall see them. Raises `InvalidInput` for categories the policy refuses."""
        policy = self.policy
        if policy is None or policy == Policy():
            return rows
        features = {feature.name: feature for feature in self.package.signature.features}
        if policy.unseen == "refuse":
            errors = unseen_errors(rows, features, pointer, numbered=numbered)
            if errors:
                first = f"{errors[0]['pointer']}: {errors[0]['detail']}"
                raise InvalidInput(f"{first}; this deployment refuses unseen categories", errors=errors)
        if policy.extra == "ignore":
            rows = [{name: value for name, value in row.items() if name in features} for row in rows]
        if policy.missing == "impute":
            fills = imputations(self.package)
            rows = [{**row, **{name: fill for name, fill in fills.items() if row.get(name) is None}} for row in rows]
        return rows

    def _encoded(self, table: Table) -> Encoded | None:
        """None where rows must say what is wrong, or stand in for what is missing."""
        features = self.package.signature.features
        columns = [table[feature.name] for feature in features if feature.name in table]
        if len(columns) < len(features) or not len(columns[0]):
            return None
        if len(table) > len(features) and not self._ignores_extra:
            return None
        return self.package.read_columns(columns)

    @property
    def _ignores_extra(self) -> bool:
        return self.policy is not None and self.policy.extra == "ignore"


def imputations(package: Package) -> dict[str, object]:
    """What stands in for a value that training never saw missing: the middle, or the most frequent, of the training data."""
    fills: dict[str, object] = {}
    reference = {spread.name: spread for spread in package.manifest.reference}
    for feature in package.signature.features:
        spread = reference.get(feature.name)
        if spread is None or feature.nullable:
            continue  # the encoder knows what to do with null, or nobody knows the middle
        if spread.categories:
            fills[feature.name] = next(iter(spread.categories))
        elif spread.edges:
            fills[feature.name] = _as_value(feature, spread.edges[len(spread.edges) // 2])
    nullable = {feature.name: None for feature in package.signature.features if feature.nullable}
    return {**nullable, **fills}


def unseen_errors(
    rows: Sequence[Row], features: Mapping[str, FeatureSpec], pointer: str, *, numbered: bool = True
) -> Errors:
    """Every category of these rows that training never saw, or too rarely to know it."""
    errors: Errors = []
    known = {name: frozenset(spec.categories) for name, spec in features.items() if spec.kind is ColumnKind.STRING}
    for number, row in enumerate(rows):
        base = f"{pointer}/{number}" if numbered else pointer
        for name, categories in known.items():
            value = row.get(name)
            if isinstance(value, str) and value not in categories:
                detail = f"the category {value[:40]!r} is unknown to the model"
                errors.append({"pointer": f"{base}/{escape(name)}", "detail": detail})
        if len(errors) >= _MOST_ERRORS:
            break
    return errors[:_MOST_ERRORS]


def escape(name: str) -> str:
    """A name as one token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def rows_of(table: Table, features: Sequence[FeatureSpec]) -> list[dict[str, object]]:
    """The table as rows of plain values, so that they are judged as rows of JSON are."""
    kinds = {feature.name: feature.kind for feature in features}
    columns = {name: _plain(values, kinds.get(name)) for name, values in table.items()}
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(values: NDArray[Any], kind: ColumnKind | None) -> list[object]:
    found: list[Any] = values.tolist()
    if values.dtype.kind == "f":
        found = [None if value != value else value for value in found]
    if kind is ColumnKind.BOOLEAN and values.dtype.kind in "iuf":
        return [bool(value) if value in (0, 1) else value for value in found]
    return found


def _as_value(feature: FeatureSpec, number: float) -> object:
    if feature.kind is ColumnKind.BOOLEAN:
        return number >= 0.5
    if feature.kind is ColumnKind.INTEGER or feature.kind in _DATES:
        return float(round(number))
    return number
