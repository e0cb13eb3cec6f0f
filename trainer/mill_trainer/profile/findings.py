# ruff: noqa: S608 - identifiers here are `c0`, `c1`, … or quoted by `mill_trainer.duck`; the engine is sandboxed
"""What a person should look at in a table. Nothing is changed: each finding is a warning with a stable code.

Codes: `all-missing`, `mostly-missing`, `constant`, `likely-id`, `near-duplicate-labels`, `surrounding-whitespace`,
`question-mark-missing`, `missing-marker`, `mixed-column`, `dates-kept-as-text`, `numbers-kept-as-text`,
`integers-beyond-2-53`. The readers add their own (`blank-lines`, `byte-order-mark`, `encoding-converted`, …).
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from mill_contracts.tables import TableWarning

from mill_trainer.duck import Duck
from mill_trainer.profile.statistics import Facts, TableFacts
from mill_trainer.shape import Shape

MOSTLY_MISSING = 0.5
MOSTLY_NUMBERS = 0.5
FEWEST_ROWS_FOR_ID = 50
MOST_LABELS = 1_000
SAMPLE_ROWS = 50_000
LARGEST_EXACT_FLOAT = 2**53
GROUPS_NAMED = 5

MARKERS = frozenset({"na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "missing", "unknown"})

_WORD_GAP = re.compile(r"(?<=\w)[\s_\-]+(?=\w)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_GROUPED_NUMBER = re.compile(r"[^\w\s]?\s?[+-]?\d{1,3}([., ]\d{3})*([.,]\d+)?\s?[%€$£]?")
_LEADING_ZERO = re.compile(r"0\d+")
_DATE = re.compile(
    r"\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})(\s.*)?|\d{4}[./]\d{1,2}[./]\d{1,2}(\s.*)?|\d{4}-\d{1,2}-\d{1,2}([ T].*)?"
    r"|\d{1,2}[ -](jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*[ -]\d{2,4}"
    r"|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w* \d{1,2},? \d{4}",
    re.IGNORECASE,
)


def findings(duck: Duck, table: TableFacts) -> Iterator[TableWarning]:
    """Every column's findings, in column order."""
    for facts in table.columns:
        yield from _of_any(facts, table.rows)
        if facts.column.shape is Shape.TEXT:
            yield from _of_text(facts, *_values(duck, table, facts))


def _of_any(facts: Facts, rows: int) -> Iterator[TableWarning]:
    name, present = facts.column.name, rows - facts.missing
    if present == 0:
        yield _warn("all-missing", name, "has no value in any row. Leave it out of the features.")
        return
    if facts.missing > rows * MOSTLY_MISSING:
        yield _warn("mostly-missing", name, f"is missing in {facts.missing:,} of {rows:,} rows.")
    if facts.distinct == 1 and present > 1:
        yield _warn("constant", name, "has the same value in every row; a model learns nothing from it.")
    if _is_like_an_id(facts, present):
        yield _warn("likely-id", name, "has a different value in every row, as an identifier has. Exclude it.")
    if facts.column.shape is Shape.INTEGER and _is_beyond_floats(facts):
        detail = "holds integers beyond 2^53: kept exactly here, but a model's arithmetic rounds them."
        yield _warn("integers-beyond-2-53", name, detail)


def _is_like_an_id(facts: Facts, present: int) -> bool:
    if facts.column.shape not in (Shape.TEXT, Shape.INTEGER) or present < FEWEST_ROWS_FOR_ID:
        return False
    if facts.values is not None:
        return facts.distinct == present
    if facts.distinct < present * 0.9:
        return False
    if facts.column.shape is Shape.TEXT:
        return facts.top[0][1] == 1 if facts.top else False
    # many different integers are an identifier when they are (nearly) a running number
    return float(cast("int", facts.maximum)) - float(cast("int", facts.minimum)) < present * 1.01


def _is_beyond_floats(facts: Facts) -> bool:
    return max(abs(cast("int", facts.minimum)), abs(cast("int", facts.maximum))) > LARGEST_EXACT_FLOAT


def _values(duck: Duck, table: TableFacts, facts: Facts) -> tuple[list[tuple[str, int]], bool]:
    """Distinct values with counts, and whether these are all: of a column with very many, those of the first rows."""
    if facts.values is not None:
        return [(str(value), count) for value, count in facts.values], True
    rows = duck.rows(
        f"SELECT v, count(*) FROM (SELECT {facts.alias} AS v FROM {table.relation} LIMIT {SAMPLE_ROWS}) "
        "WHERE v IS NOT NULL GROUP BY 1"
    )
    return [(str(value)[:SAMPLE_ROWS], cast("int", count)) for value, count in rows], False


def _of_text(facts: Facts, values: Sequence[tuple[str, int]], complete: bool) -> Iterator[TableWarning]:
    name = facts.column.name
    scope = "" if complete else f" of the first {SAMPLE_ROWS:,} rows"
    total = sum(count for _, count in values)
    blanks = sum(count for value, count in values if value != value.strip())
    if blanks:
        detail = f"has {blanks:,} values{scope} with blanks around them; they are part of the value."
        yield _warn("surrounding-whitespace", name, detail)
    marks = sum(count for value, count in values if value.strip() == "?")
    if marks:
        detail = f"has {marks:,} values{scope} that are a question mark; they are kept as values, not as missing."
        yield _warn("question-mark-missing", name, detail)
    markers = {value: count for value, count in values if value.strip().lower() in MARKERS}
    if markers:
        detail = f"has {sum(markers.values()):,} values{scope} such as {_named(markers)}, kept as text, not as missing."
        yield _warn("missing-marker", name, detail)
    if complete and len(values) <= MOST_LABELS:
        yield from _near_duplicates(name, [value for value, _ in values])
    yield from _numbers_and_dates(name, values, total - marks - sum(markers.values()), scope)


def _near_duplicates(name: str, labels: Iterable[str]) -> Iterator[TableWarning]:
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike[_simplified(label)].append(label)
    groups = [sorted(group) for group in alike.values() if len(group) > 1]
    if groups:
        shown = "; ".join(
            " and ".join(repr(label[:60]) for label in group[:4]) for group in sorted(groups)[:GROUPS_NAMED]
        )
        more = f" (and {len(groups) - GROUPS_NAMED} more)" if len(groups) > GROUPS_NAMED else ""
        detail = f"has values that differ only in case, blanks or a final mark: {shown}{more}. Each is kept as its own."
        yield _warn("near-duplicate-labels", name, detail)


def _simplified(label: str) -> str:
    folded = unicodedata.normalize("NFKC", label).casefold().strip().rstrip(".,;:!").rstrip()
    return _WORD_GAP.sub(" ", folded)


def _numbers_and_dates(name: str, values: Sequence[tuple[str, int]], total: int, scope: str) -> Iterator[TableWarning]:
    if total <= 0:
        return
    plain = sum(count for value, count in values if _NUMBER.fullmatch(value.strip()))
    grouped = sum(count for value, count in values if _GROUPED_NUMBER.fullmatch(value.strip()))
    dates = sum(count for value, count in values if _DATE.fullmatch(value.strip()))
    if dates > MOSTLY_NUMBERS * total:
        detail = f"has {dates:,} values{scope} that look like dates; it is text. Write dates as 2026-01-31."
        yield _warn("dates-kept-as-text", name, detail)
    elif plain > MOSTLY_NUMBERS * total:
        yield from _mixed(name, values, plain, total, scope)
    elif grouped > MOSTLY_NUMBERS * total:
        detail = f"has {grouped:,} values{scope} that look like numbers with separators or units; it is text."
        yield _warn("numbers-kept-as-text", name, f"{detail} Write numbers as 1234.5.")


def _mixed(name: str, values: Sequence[tuple[str, int]], plain: int, total: int, scope: str) -> Iterator[TableWarning]:
    others = {value: count for value, count in values if not _NUMBER.fullmatch(value.strip())}
    strange = {value: count for value, count in others.items() if value.strip().lower() not in MARKERS | {"?"}}
    if others:
        detail = f"is text because of values such as {_named(strange or others)}, though {plain:,}{scope} are numbers."
        yield _warn("mixed-column", name, detail)
    elif any(_LEADING_ZERO.fullmatch(value.strip()) or value.strip().startswith("+") for value, _ in values):
        detail = f"has digits with leading zeros or plus signs{scope}, as codes and telephone numbers have; it is text."
        yield _warn("numbers-kept-as-text", name, detail)
    else:
        detail = f"has numbers of more digits than 64 bits hold ({total:,} values{scope}); it is text, kept exactly."
        yield _warn("numbers-kept-as-text", name, detail)


def _named(values: Iterable[str]) -> str:
    return ", ".join(repr(value[:40]) for value in list(values)[:3])


def _warn(code: str, column: str, predicate: str) -> TableWarning:
    return TableWarning(code=code, column=column, detail=f"Column {column!r} {predicate}")
