# ruff: noqa: S608 - identifiers here are `c0`, `c1`, … or quoted by `mill_trainer.duck`; the engine is sandboxed
"""Per-column statistics of the canonical Parquet, in few passes over it: all aggregates at once, then the values that
repeat, then all histograms at once.

`distinct` is exact in tables of up to `ROWS_COUNTED_EXACTLY` rows and for columns of up to `EXACT_DISTINCT` different
values, else DuckDB's HyperLogLog estimate (a few per cent off);
quantiles are exact while a column fits into memory, else a t-digest estimate. Top values are counted exactly; of a
column with more than `EXACT_DISTINCT` values the candidates are those DuckDB's space-saving sketch names.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import cast

from mill_contracts.tables import Bin, ColumnKind, ColumnStatistics, TopValue

from mill_trainer.duck import Duck, DuckError, text
from mill_trainer.profile.canonical import Canonical, Column
from mill_trainer.shape import Shape

EXACT_DISTINCT = 10_000
ROWS_COUNTED_EXACTLY = 200_000
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 20
TOP_VALUES = 20
LONGEST_TOP_VALUE = 200
MOST_COLUMNS_PER_QUERY = 100
MOST_CELLS_IN_MEMORY = 10_000_000
MANY_COLUMNS = 100
NUMERIC = (Shape.INTEGER, Shape.NUMBER)


@dataclass
class Facts:
    """What the passes gather about one column. `values` are all its distinct values where these are few."""

    column: Column
    alias: str
    missing: int = 0
    distinct: int = 0
    minimum: object = None
    maximum: object = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: dict[str, float] = field(default_factory=dict[str, float])
    values: list[tuple[object, int]] | None = None
    top: list[tuple[object, int]] = field(default_factory=list[tuple[object, int]])
    histogram: tuple[Bin, ...] = ()

    @property
    def numeric(self) -> bool:
        return self.column.shape in NUMERIC


@dataclass(frozen=True)
class TableFacts:
    """The facts of all columns, and the SQL relation (columns `c0`, `c1`, …) for who wants to know more."""

    columns: tuple[Facts, ...]
    relation: str
    rows: int


def gather(duck: Duck, canonical: Canonical, path: Path, memory_bytes: int) -> TableFacts:
    """Read the canonical Parquet a few times and know it."""
    facts = [Facts(column, f"c{index}") for index, column in enumerate(canonical.columns)]
    relation = f"read_parquet({text(str(path))}) AS t({', '.join(each.alias for each in facts)})"
    if len(facts) > MANY_COLUMNS and canonical.rows * len(facts) <= MOST_CELLS_IN_MEMORY:
        # many columns mean many queries, and each would open the Parquet
        duck.run(f"CREATE TEMP TABLE canonical AS SELECT * FROM {relation}")
        relation = "canonical"
    fit = memory_bytes // 8 // (8 * max(canonical.rows, 1))
    step = max(1, min(fit, MOST_COLUMNS_PER_QUERY))
    for start in range(0, len(facts), step):
        _aggregate(duck, relation, facts[start : start + step], canonical.rows, exact=fit > 0)
    for each in facts:
        _count_values(duck, relation, each)
    if canonical.rows <= ROWS_COUNTED_EXACTLY:
        _count_distinct(duck, relation, [each for each in facts if each.values is None])
    for start in range(0, len(facts), MOST_COLUMNS_PER_QUERY):
        part = facts[start : start + MOST_COLUMNS_PER_QUERY]
        _histograms(duck, relation, part)
        _frequent(duck, relation, part)
    return TableFacts(tuple(facts), relation, canonical.rows)


def statistics_of(facts: Facts) -> ColumnStatistics:
    """The facts in the words of the contract."""
    top = facts.top if not facts.numeric else []
    return ColumnStatistics(
        name=facts.column.name,
        kind=facts.column.shape.kind,
        missing=facts.missing,
        distinct=facts.distinct,
        minimum=_edge(facts.minimum, facts.column.shape.kind),
        maximum=_edge(facts.maximum, facts.column.shape.kind),
        mean=facts.mean,
        standard_deviation=facts.deviation,
        quantiles=facts.quantiles,
        histogram=facts.histogram,
        top_values=tuple(TopValue(value=in_words(value), count=count) for value, count in top[:TOP_VALUES]),
    )


def in_words(value: object) -> str:
    """A value as text: dates in ISO 8601, booleans as `true`/`false`, long text cut."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    words = str(value)
    return words if len(words) <= LONGEST_TOP_VALUE else words[: LONGEST_TOP_VALUE - 1] + "…"


def _edge(value: object, kind: ColumnKind) -> float | str | None:
    if value is None or kind in (ColumnKind.STRING, ColumnKind.EMPTY, ColumnKind.BOOLEAN):
        return None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(cast("float", value))


def _aggregate(duck: Duck, relation: str, facts: Sequence[Facts], rows: int, *, exact: bool) -> None:
    try:
        _aggregate_once(duck, relation, facts, rows, exact=exact, moments=True)
    except DuckError:  # a sum of squares beyond the largest float; only then are the columns asked one by one
        for each in facts:
            try:
                _aggregate_once(duck, relation, [each], rows, exact=exact, moments=True)
            except DuckError:
                _aggregate_once(duck, relation, [each], rows, exact=exact, moments=False)


def _aggregate_once(
    duck: Duck, relation: str, facts: Sequence[Facts], rows: int, *, exact: bool, moments: bool
) -> None:
    parts: list[str] = []
    for each in facts:
        parts += [f"count({each.alias})", f"approx_count_distinct({each.alias})"]
        if each.column.shape not in (Shape.TEXT, Shape.EMPTY):
            parts += [f"min({each.alias})", f"max({each.alias})"]
        if each.numeric:
            value = f"{each.alias}::DOUBLE"
            parts += [f"avg({value})", f"stddev_samp({value})"] if moments else ["NULL", "NULL"]
            parts.append(f"{'quantile_cont' if exact else 'approx_quantile'}({value}, {list(QUANTILES)})")
    answers = iter(duck.row(f"SELECT {', '.join(parts)} FROM {relation}"))
    for each in facts:
        each.missing = rows - cast("int", next(answers))
        each.distinct = min(cast("int", next(answers)), rows - each.missing)
        if each.column.shape not in (Shape.TEXT, Shape.EMPTY):
            each.minimum, each.maximum = next(answers), next(answers)
        if each.numeric:
            each.mean, each.deviation = _finite(next(answers)), _finite(next(answers))
            points = cast("list[float] | None", next(answers)) or []
            each.quantiles = {str(at): point for at, point in zip(QUANTILES, points, strict=False)}


def _finite(value: object) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def _count_values(duck: Duck, relation: str, facts: Facts) -> None:
    """All distinct values with their counts, most frequent first, where the estimate says that these are few."""
    if facts.distinct > EXACT_DISTINCT * 1.2 or facts.column.shape is Shape.EMPTY:
        return
    at_most = EXACT_DISTINCT + 1
    rows = duck.rows(
        f"SELECT {facts.alias}, count(*) AS n FROM {relation} WHERE {facts.alias} IS NOT NULL "
        f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {at_most}"
    )
    if len(rows) < at_most:
        facts.values = [(value, cast("int", count)) for value, count in rows]
        facts.top = facts.values[:TOP_VALUES]
        facts.distinct = len(rows)


def _count_distinct(duck: Duck, relation: str, facts: Sequence[Facts]) -> None:
    for each in facts:
        each.distinct = cast("int", duck.row(f"SELECT count(DISTINCT {each.alias}) FROM {relation}")[0])


def _frequent(duck: Duck, relation: str, facts: Sequence[Facts]) -> None:
    """Top values of columns with very many: a sketch names the candidates, a second look counts them."""
    asked = [
        each for each in facts if each.values is None and not each.numeric and each.column.shape is not Shape.EMPTY
    ]
    if not asked:
        return
    sketches = ", ".join(f"approx_top_k({each.alias}, {TOP_VALUES})" for each in asked)
    for each, found in zip(asked, duck.row(f"SELECT {sketches} FROM {relation}"), strict=True):
        candidates = ", ".join(text(in_full(value)) for value in cast("list[object]", found))
        counted = duck.rows(
            f"SELECT {each.alias}, count(*) AS n FROM {relation} WHERE {each.alias} IN ({candidates}) "
            "GROUP BY 1 ORDER BY n DESC, 1"
        )
        each.top = [(value, cast("int", count)) for value, count in counted]


def in_full(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _histograms(duck: Duck, relation: str, facts: Sequence[Facts]) -> None:
    plans = [(each, _Bins.of(each)) for each in facts if each.numeric and each.minimum is not None]
    plans = [(each, bins) for each, bins in plans if math.isfinite(bins.width)]
    if not plans:
        return
    wanted = ", ".join(f"histogram({bins.index_of(each.alias)})" for each, bins in plans)
    for (each, bins), counts in zip(plans, duck.row(f"SELECT {wanted} FROM {relation}"), strict=True):
        each.histogram = bins.filled(cast("dict[int, int]", counts))


@dataclass(frozen=True)
class _Bins:
    low: float
    high: float
    count: int

    @staticmethod
    def of(facts: Facts) -> "_Bins":
        low, high = float(cast("float", facts.minimum)), float(cast("float", facts.maximum))
        if low == high:
            return _Bins(low, high, 1)
        if facts.column.shape is Shape.INTEGER and high - low < BINS:
            return _Bins(low, high + 1, int(high - low) + 1)
        return _Bins(low, high, BINS)

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.count

    def index_of(self, alias: str) -> str:
        if self.low == self.high:
            return f"CASE WHEN {alias} IS NOT NULL THEN 0 END"
        place = f"floor(({alias}::DOUBLE - {_literal(self.low)}) / {_literal(self.width)})"
        return f"greatest(0, least({self.count - 1}, {place}))::TINYINT"

    def filled(self, counts: dict[int, int]) -> tuple[Bin, ...]:
        edges = [self.low + self.width * index for index in range(self.count)] + [self.high]
        return tuple(
            Bin(low=edges[index], high=edges[index + 1], count=counts.get(index, 0)) for index in range(self.count)
        )


def _literal(value: float) -> str:
    return f"'{value!r}'::DOUBLE"
