"""The tree an expression becomes: the parser builds it, the two compilers walk it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Column:
    slot: int


@dataclass(frozen=True, slots=True)
class Negative:
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of + - * / ** < <= > >= == !=."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class WholePower:
    """A power with a small whole exponent: done by multiplication, so that every machine gives the same bits."""

    base: "Node"
    exponent: int


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: "tuple[Node, ...]"


Node = Number | Column | Negative | Binary | WholePower | Call
