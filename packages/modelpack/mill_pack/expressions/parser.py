"""From text to tree. Python's grammar reads the text; a whitelist decides what may stay; nothing is ever run by Python."""

import ast
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mill_pack.errors import InvalidExpression
from mill_pack.expressions.nodes import Binary, Call, Column, Negative, Node, Number, WholePower

MAX_LENGTH = 500
MAX_DEPTH = 40
MAX_WHOLE_EXPONENT = 16
ONE_ARGUMENT = frozenset({"log", "log1p", "exp", "sqrt", "abs", "floor", "ceil"})
MANY_ARGUMENTS = frozenset({"min", "max"})

_QUOTED = re.compile(r"`([^`]+)`|\[([^\[\]]+)\]")
_ARITHMETIC: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


@dataclass(slots=True)
class Parser:
    """One parse. `columns` are the names that may stand in the text; `used` collects them in order of their slots."""

    text: str
    columns: frozenset[str]
    used: list[str] = field(default_factory=list[str])
    _quoted: dict[str, str] = field(default_factory=dict[str, str])

    def parse(self) -> Node:
        if len(self.text) > MAX_LENGTH:
            raise self.refuse(f"it is longer than {MAX_LENGTH} characters")
        try:
            tree = ast.parse(self._with_placeholders().strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self.refuse("it is not an arithmetic expression") from error
        return self._node(tree.body, depth=0)

    def _with_placeholders(self) -> str:
        prefix = "column_"
        while prefix in self.text:
            prefix += "_"

        def stand_in(match: re.Match[str]) -> str:
            placeholder = f"{prefix}{len(self._quoted)}"
            self._quoted[placeholder] = match.group(1) or match.group(2)
            return f" {placeholder} "

        return _QUOTED.sub(stand_in, self.text)

    def _node(self, tree: ast.expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.refuse(f"it is nested deeper than {MAX_DEPTH} levels")
        match tree:
            case ast.Constant(value=value):
                return Number(self._number(value))
            case ast.Name(id=name):
                return Column(self._slot(name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self._node(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._node(operand, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
                return _binary(_ARITHMETIC[type(operator)], self._node(left, depth + 1), self._node(right, depth + 1))
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARISONS:
                return Binary(_COMPARISONS[type(operator)], self._node(left, depth + 1), self._node(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments, depth)
            case _:
                raise self.refuse(
                    "only columns, numbers, + - * / **, one comparison, and log, log1p, exp, sqrt, abs, min, max, floor, ceil are allowed"
                )

    def _call(self, name: str, arguments: list[ast.expr], depth: int) -> Node:
        if name not in ONE_ARGUMENT | MANY_ARGUMENTS:
            raise self.refuse(f"there is no function {name!r}{_closest(name, ONE_ARGUMENT | MANY_ARGUMENTS)}")
        if name in ONE_ARGUMENT and len(arguments) != 1:
            raise self.refuse(f"{name} takes one argument")
        if name in MANY_ARGUMENTS and len(arguments) < 2:
            raise self.refuse(f"{name} takes two arguments or more")
        return Call(name, tuple(self._node(argument, depth + 1) for argument in arguments))

    def _number(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(f"{value!r} is not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.refuse("a number in it is too large")
        return number

    def _slot(self, identifier: str) -> int:
        name = self._quoted.get(identifier, identifier)
        if name not in self.columns:
            raise self.refuse(f"{name!r} is no numeric input column{_closest(name, self.columns)}")
        if name not in self.used:
            self.used.append(name)
        return self.used.index(name)

    def refuse(self, reason: str) -> InvalidExpression:
        return InvalidExpression(f"The expression {self.text[:80]!r} cannot be used: {reason}.")


def _binary(operator: str, left: Node, right: Node) -> Node:
    exponent = _constant(right) if operator == "**" else None
    if exponent is not None and exponent.is_integer() and abs(exponent) <= MAX_WHOLE_EXPONENT:
        return WholePower(left, int(exponent))
    return Binary(operator, left, right)


def _constant(node: Node) -> float | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Negative) and isinstance(node.operand, Number):
        return -node.operand.value
    return None


def _closest(name: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
