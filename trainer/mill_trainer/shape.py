"""What a column of a table holds, in the trainer's words: finer than the contract's kinds by the time zone."""

from enum import StrEnum

from mill_contracts.tables import ColumnKind


class Shape(StrEnum):
    EMPTY = "empty"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    TIMESTAMP = "timestamp"
    ZONED = "zoned"
    TEXT = "text"

    @property
    def kind(self) -> ColumnKind:
        if self is Shape.ZONED:
            return ColumnKind.TIMESTAMP
        return ColumnKind.STRING if self is Shape.TEXT else ColumnKind(self.value)
