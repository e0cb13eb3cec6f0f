"""What a model takes and gives. The trainer fixes it, ml-service publishes it, the encoder enforces it."""

from mill_contracts.base import Contract
from mill_contracts.recipe import ColumnName, Task
from mill_contracts.tables import ColumnKind
from pydantic import Field

NUMERIC_KINDS = frozenset(
    {ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN, ColumnKind.DATE, ColumnKind.TIMESTAMP}
)
"""Kinds that reach the encoder as float64."""

DATE_KINDS = frozenset({ColumnKind.DATE, ColumnKind.TIMESTAMP})


class FeatureSpec(Contract):
    """One input column. `categories` are those with a code of their own; the range is what training saw, not a limit.

    `nullable`: null is taken (it was missing in training, or is imputed). Unless `required`, a row may leave it out.
    """

    name: ColumnName
    kind: ColumnKind
    nullable: bool = False
    required: bool = True
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


class Signature(Contract):
    """`classes` are in the order of the engine's outputs, as the data spells them; empty for a regression."""

    features: tuple[FeatureSpec, ...] = Field(min_length=1)
    task: Task
    classes: tuple[str, ...] = ()
    target: ColumnName
