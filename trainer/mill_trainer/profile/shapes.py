# ruff: noqa: S608 - identifiers here are `c0`, `c1`, … or quoted by `mill_trainer.duck`; the engine is sandboxed
"""What the cells of a text column look like, and so what the column is: decided by every value, never by a sample alone.

A column is the first of boolean, integer, number, date, timestamp, timestamp with zone that *every* value fits, else
text. The shapes are strict, because a value that is read must be the value that was written: `007`, `+49 171` and
`1,000` are text, and so is an integer of more than 18 digits that fits no 64-bit integer. Blanks around a number are
not part of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mill_trainer.duck import Duck, text
from mill_trainer.shape import Shape

BLANKS = "[ \t]*"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
COLUMNS_PER_QUERY = 200


@dataclass(frozen=True)
class _Rule:
    """A value fits when it matches `pattern` and `sql` (with `{v}` for the value) casts it."""

    shape: Shape
    pattern: str
    sql: str

    def fits(self, value: str) -> str:
        cast = self.cast(value).replace("CAST(", "TRY_CAST(")
        finite = f" AND isfinite({cast})" if self.shape is Shape.NUMBER else ""
        return f"(regexp_full_match({value}, {text(self.pattern)}) AND {cast} IS NOT NULL{finite})"

    def cast(self, value: str) -> str:
        return self.sql.replace("{v}", value)

    def cast_or_fail(self, value: str) -> str:
        """The value, or an error that ends the statement."""
        matches = f"regexp_full_match({value}, {text(self.pattern)})"
        if self.shape is Shape.NUMBER:
            matches += f" AND isfinite({self.cast(value)})"
        return f"CASE WHEN {value} IS NULL THEN NULL WHEN {matches} THEN {self.cast(value)} ELSE error({value}) END"


RULES: tuple[_Rule, ...] = (
    _Rule(Shape.BOOLEAN, f"{BLANKS}(?i:true|false){BLANKS}", f"CAST(trim({{v}}, {text(' ' + chr(9))}) AS BOOLEAN)"),
    _Rule(Shape.INTEGER, f"{BLANKS}(0|-?[1-9][0-9]{{0,18}}){BLANKS}", "CAST({v} AS BIGINT)"),
    _Rule(
        Shape.NUMBER,
        rf"{BLANKS}-?(0|[1-9][0-9]{{0,17}}|)(\.[0-9]*)?([eE][+-]?[0-9]+)?{BLANKS}",
        "CAST({v} AS DOUBLE)",
    ),
    _Rule(Shape.DATE, f"{BLANKS}{DATE}{BLANKS}", "CAST({v} AS DATE)"),
    _Rule(Shape.TIMESTAMP, f"{BLANKS}{DATE}[ T]{TIME}{BLANKS}", "CAST({v} AS TIMESTAMP)"),
    _Rule(
        Shape.ZONED,
        f"{BLANKS}{DATE}[ T]{TIME} ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?){BLANKS}",
        "CAST({v} AS TIMESTAMP WITH TIME ZONE)",
    ),
)
_RULE_OF = {rule.shape: rule for rule in RULES}
_ANY_BLANKS = text(f"{BLANKS[:-1]}.*|.*{BLANKS[:-1]}")


@dataclass(frozen=True)
class Seen:
    """What is known of one column's cells: the shapes that every one of them fits, and whether some have blanks around."""

    fitting: tuple[Shape, ...]
    blanks: bool

    @property
    def shape(self) -> Shape:
        return self.fitting[0]


def glance(rows: Sequence[Sequence[object]]) -> list[Seen]:
    """The shapes that a few rows leave open. In Python: to compile every pattern for every column costs DuckDB more."""
    patterns = [(rule.shape, re.compile(rule.pattern)) for rule in RULES]
    found: list[Seen] = []
    for cells in zip(*rows, strict=True):
        texts = [cell for cell in cells if isinstance(cell, str)]
        fitting = [shape for shape, pattern in patterns if all(pattern.fullmatch(cell) for cell in texts)]
        found.append(Seen((*fitting, Shape.TEXT) if texts else (Shape.EMPTY,), blanks=False))
    return found


def look(duck: Duck, relation: str, columns: Sequence[str], before: Sequence[Seen]) -> list[Seen]:
    """The shapes of columns in a relation of text; `before` says what is already known of each."""
    found: list[Seen] = []
    for start in range(0, len(columns), COLUMNS_PER_QUERY):
        part = columns[start : start + COLUMNS_PER_QUERY]
        rules = [_open_rules(seen) for seen in before[start : start + COLUMNS_PER_QUERY]]
        found.extend(_look_at(duck, relation, part, rules))
    return found


def _open_rules(seen: Seen) -> tuple[_Rule, ...]:
    if seen.shape is Shape.EMPTY:
        return RULES
    return tuple(rule for rule in RULES if rule.shape in seen.fitting)


def _look_at(duck: Duck, relation: str, columns: Sequence[str], rules: Sequence[tuple[_Rule, ...]]) -> list[Seen]:
    parts: list[str] = []
    for column, column_rules in zip(columns, rules, strict=True):
        parts.append(f"count({column})")
        parts.append(f"count_if(regexp_full_match({column}, {_ANY_BLANKS}, 's'))" if column_rules else "0")
        parts.extend(f"count_if({rule.fits(column)})" for rule in column_rules)
    counts = iter(duck.row(f"SELECT {', '.join(parts)} FROM {relation}"))
    found: list[Seen] = []
    for column_rules in rules:
        total, blanks = next(counts), next(counts)
        fitting = tuple(rule.shape for rule in column_rules if next(counts) == total)
        found.append(Seen((Shape.EMPTY,) if total == 0 else (*fitting, Shape.TEXT), blanks != 0))
    return found


def typed(column: str, seen: Seen, *, proven: bool) -> str:
    """SQL that gives the column's values in its shape and, unless every value is proven to, fails on one that does not fit."""
    rule = _RULE_OF.get(seen.shape)
    if rule is not None and proven:
        return rule.cast(column)
    if rule is not None:
        if not seen.blanks:
            rule = _Rule(rule.shape, rule.pattern.replace(BLANKS, ""), rule.sql)
        return rule.cast_or_fail(column)
    if seen.shape is Shape.EMPTY:
        return f"CASE WHEN {column} IS NULL THEN NULL ELSE error({column}) END"
    return column
