"""From tree to closures: one set over whole columns, one over single floats, with the same bits in both.

+ - * / and comparisons are exact in IEEE 754, so Python floats and numpy agree. Logarithms, exponentials and powers are
not, so the single-row set asks numpy too, through an array of `LANES` equal values: numpy then takes the same vector code
as for a long column. Division by zero, a logarithm of a negative and an overflow give a missing value (NaN).
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.expressions.nodes import Binary, Call, Column, Negative, Node, Number, WholePower
from mill_pack.expressions.parser import Parser

LANES = 8

OverColumns = Callable[[Sequence[FloatArray]], FloatArray]
OverFloats = Callable[[Sequence[float]], float]

_EXACT: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_UFUNCS: dict[str, np.ufunc] = {
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """`inputs` name the columns the closures expect, in order."""

    inputs: tuple[str, ...]
    _columns: OverColumns
    _floats: OverFloats

    def over_columns(self, columns: Sequence[FloatArray]) -> FloatArray:
        """(n,) from the (n,) columns named by `inputs`; NaN where there is no finite result."""
        with np.errstate(all="ignore"):
            result = self._columns(columns)
            return np.where(np.isfinite(result), result, np.nan) + 0.0

    def over_floats(self, values: Sequence[float]) -> float:
        """The same for one row, bit by bit."""
        with_zero_positive = self._floats(values) + 0.0
        return with_zero_positive if math.isfinite(with_zero_positive) else math.nan


def compile_expression(text: str, columns: Iterable[str]) -> CompiledExpression:
    """Raises `InvalidExpression`. `columns` are the numeric input columns the text may name."""
    parser = Parser(text=text, columns=frozenset(columns))
    tree = parser.parse()
    if not parser.used:
        raise parser.refuse("it names no column")
    return CompiledExpression(tuple(parser.used), _over_columns(tree), _over_floats(tree))


def _over_columns(node: Node) -> OverColumns:
    match node:
        case Number(value):
            return lambda columns: np.full(len(columns[0]), value)
        case Column(slot):
            return lambda columns: columns[slot]
        case Negative(operand):
            inner = _over_columns(operand)
            return lambda columns: -inner(columns)
        case WholePower(base, exponent):
            inner = _over_columns(base)
            return lambda columns: _whole_power_columns(inner(columns), exponent)
        case Binary(sign, left, right):
            return _binary_columns(sign, _over_columns(left), _over_columns(right))
        case Call(function, arguments):
            return _call_columns(function, [_over_columns(argument) for argument in arguments])


def _binary_columns(sign: str, left: OverColumns, right: OverColumns) -> OverColumns:
    if sign in _EXACT:
        exact = _EXACT[sign]
        return lambda columns: exact(left(columns), right(columns))
    if sign == "/":
        return lambda columns: _divide_columns(left(columns), right(columns))
    if sign == "**":
        return lambda columns: np.power(left(columns), right(columns))
    compare = _COMPARE[sign]

    def compared(columns: Sequence[FloatArray]) -> FloatArray:
        one, two = left(columns), right(columns)
        return np.where(np.isnan(one) | np.isnan(two), np.nan, compare(one, two))

    return compared


def _divide_columns(one: FloatArray, two: FloatArray) -> FloatArray:
    return np.where(two == 0.0, np.nan, one / two)


def _whole_power_columns(base: FloatArray, exponent: int) -> FloatArray:
    if exponent == 0:
        return np.where(np.isnan(base), np.nan, 1.0)
    power = reduce(operator.mul, [base] * abs(exponent))
    return power if exponent > 0 else _divide_columns(np.ones_like(power), power)


def _call_columns(function: str, arguments: list[OverColumns]) -> OverColumns:
    if function in _UFUNCS:
        ufunc, only = _UFUNCS[function], arguments[0]
        return lambda columns: ufunc(np.ascontiguousarray(only(columns)))
    pick = np.minimum if function == "min" else np.maximum
    return lambda columns: reduce(pick, [argument(columns) for argument in arguments])


def _over_floats(node: Node) -> OverFloats:
    match node:
        case Number(value):
            return lambda _values: value
        case Column(slot):
            return lambda values: values[slot]
        case Negative(operand):
            inner = _over_floats(operand)
            return lambda values: -inner(values)
        case WholePower(base, exponent):
            inner = _over_floats(base)
            return lambda values: _whole_power_float(inner(values), exponent)
        case Binary(sign, left, right):
            return _binary_floats(sign, _over_floats(left), _over_floats(right))
        case Call(function, arguments):
            return _call_floats(function, [_over_floats(argument) for argument in arguments])


def _binary_floats(sign: str, left: OverFloats, right: OverFloats) -> OverFloats:
    if sign in _EXACT:
        exact = _EXACT[sign]
        return lambda values: exact(left(values), right(values))
    if sign == "/":
        return lambda values: _divide_floats(left(values), right(values))
    if sign == "**":
        return lambda values: _in_lanes(np.power, left(values), right(values))
    compare = _COMPARE[sign]

    def compared(values: Sequence[float]) -> float:
        one, two = left(values), right(values)
        return math.nan if one != one or two != two else float(compare(one, two))

    return compared


def _divide_floats(one: float, two: float) -> float:
    return math.nan if two == 0.0 else one / two


def _whole_power_float(base: float, exponent: int) -> float:
    if exponent == 0:
        return base if base != base else 1.0
    power = reduce(operator.mul, [base] * abs(exponent))
    return power if exponent > 0 else _divide_floats(1.0, power)


def _call_floats(function: str, arguments: list[OverFloats]) -> OverFloats:
    if function in _UFUNCS:
        ufunc, only = _UFUNCS[function], arguments[0]
        return lambda values: _in_lanes(ufunc, only(values))
    pick = min if function == "min" else max

    def picked(values: Sequence[float]) -> float:
        numbers = [argument(values) for argument in arguments]
        return math.nan if any(number != number for number in numbers) else pick(numbers)

    return picked


def _in_lanes(ufunc: np.ufunc, *values: float) -> float:
    with np.errstate(all="ignore"):
        return float(ufunc(*(np.full(LANES, value) for value in values))[0])
