"""Expressions: arithmetic as written, nothing but arithmetic, and the same bits in a column as in a row."""

import contextlib
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mill_pack import InvalidExpression
from mill_pack.expressions import compile_expression

NAMES = ("a", "b", "net worth", "hours/week")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", 7.0),
        ("(a + b) / 2", 2.5),
        ("-a ** 2", -9.0),
        ("a ** -1", 1 / 3),
        ("2 ** b", 4.0),
        ("a ** 0.5", math.sqrt(3)),
        ("`net worth` - [hours/week]", 60.0),
        ("log(a)", math.log(3)),
        ("log1p(a)", math.log1p(3)),
        ("exp(b)", math.exp(2)),
        ("sqrt(a) + abs(-b)", math.sqrt(3) + 2),
        ("min(a, b, 1) + max(a, b)", 4.0),
        ("floor(a / b) + ceil(a / b)", 3.0),
        ("(a > b) + (a == 3) * 10", 11.0),
        ("1e3 * a", 3000.0),
    ],
)
def test_an_expression_means_what_it_says(text: str, expected: float) -> None:
    values = {"a": 3.0, "b": 2.0, "net worth": 100.0, "hours/week": 40.0}
    expression = compile_expression(text, NAMES)
    assert expression.over_floats([values[name] for name in expression.inputs]) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "a +",
        "__import__('os')",
        "a.real",
        "a[0]",
        "[x for x in a]",
        "lambda: a",
        "a if b else 1",
        "a and b",
        "not a",
        "~a",
        "a // b",
        "a % b",
        "a @ b",
        "a < b < 3",
        "a is b",
        "'a' * 3",
        "True + a",
        "1j * a",
        "f'{a}'",
        "(a := 3)",
        "log(a, b)",
        "min(a)",
        "min(*a)",
        "log(x=a)",
        "open(a)",
        "unknown + 1",
        "`unknown` + 1",
        "a; b",
        "a\nb",
        "a" + "\x00",
        "a + 1e999",
        "a + " + "9" * 400,
        "(" * 90 + "a" + ")" * 90 + "+" + "-" * 100 + "a",
        "a" + "+a" * 250,
        "a" + "*(a" * 60 + ")" * 60,
        "await a",
        "yield a",
        "a, b",
        "{a: b}",
        "...",
        "column_0",
    ],
)
def test_what_is_not_plain_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_expression(text, NAMES)
    assert refused.value.status == 422


def test_a_close_name_is_suggested() -> None:
    with pytest.raises(InvalidExpression, match="did you mean 'net worth'"):
        compile_expression("`nett worth` / a", NAMES)
    with pytest.raises(InvalidExpression, match="did you mean 'log'"):
        compile_expression("lg(a)", NAMES)


@pytest.mark.parametrize(
    "text", ["a / b", "a / (b - b)", "log(b)", "log(-1 - a)", "sqrt(-1 - a)", "b ** -2", "exp(a * 1e9)"]
)
def test_no_finite_result_is_a_missing_value(text: str) -> None:
    expression = compile_expression(text, NAMES)
    values = [{"a": 3.0, "b": 0.0}[name] for name in expression.inputs]
    assert math.isnan(expression.over_floats(values))
    assert np.isnan(expression.over_columns([np.array([value]) for value in values])).all()


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**", "<", ">=", "==", "!="]), inner)
    calls = st.tuples(st.sampled_from(["log", "log1p", "exp", "sqrt", "abs", "floor", "ceil", "-"]), inner)
    picks = st.tuples(st.sampled_from(["min", "max"]), inner, inner)
    powers = st.tuples(inner, st.integers(-16, 16))
    return (
        pairs.map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")
        | calls.map(lambda parts: f"{parts[0]}({parts[1]})")
        | picks.map(lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})")
        | powers.map(lambda parts: f"({parts[0]} ** {parts[1]})")
    )


LEAVES = st.sampled_from(["a", "b", "`net worth`", "0", "1", "0.5", "2", "1e300", "[hours/week]"])
TEXTS = st.recursive(LEAVES, _grow, max_leaves=8).filter(
    lambda text: re.search(r"\b(a|b|net|hours)\b", text) is not None
)
FLOATS = st.floats(allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, float("nan")])


@settings(deadline=None, max_examples=300)
@given(TEXTS.filter(lambda text: len(text) <= 400), st.lists(st.tuples(*[FLOATS] * 4), min_size=1, max_size=30))
def test_a_column_and_its_rows_agree_in_every_bit(text: str, rows: list[tuple[float, ...]]) -> None:
    expression = compile_expression(text, NAMES)
    table = {name: np.array([row[index] for row in rows]) for index, name in enumerate(NAMES)}
    columns = [table[name] for name in expression.inputs]
    together = expression.over_columns(columns)
    singles = [expression.over_floats([float(column[row]) for column in columns]) for row in range(len(rows))]
    assert together.tobytes() == np.array(singles).tobytes()


@given(st.text(max_size=80))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidExpression):
        compile_expression(text, NAMES)
