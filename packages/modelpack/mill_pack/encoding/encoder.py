"""The encoder as its callers see it: the trainer fits and transforms, ml-service encodes rows, batch scoring columns."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mill_pack.arrays import Columns, FloatArray
from mill_pack.encoding.blocks import BlockPlan
from mill_pack.encoding.checks import check_row, check_rows
from mill_pack.encoding.columnar import ColumnarPlan, Encoded
from mill_pack.encoding.document import CategoricalOutput, EncoderDocument
from mill_pack.encoding.quick import QuickPlan
from mill_pack.encoding.rows import RowPlan
from mill_pack.encoding.tables import CodeTable
from mill_pack.errors import InvalidInput
from mill_pack.expressions import compile_expression
from mill_pack.signature import FeatureSpec

__all__ = ["Encoded", "Encoder"]

INPUTS = "/inputs"
INPUT_DATA = "/input_data"
FEW_ROWS = 16


class Encoder:
    """Compiled from its document once; immutable and shared by threads."""

    def __init__(self, document: EncoderDocument) -> None:
        self.document = document
        self.output_names: tuple[str, ...] = tuple(name for output in document.outputs for name in output.names)
        self.width = len(self.output_names)
        numeric = [feature.name for feature in document.features if feature.name not in _texts(document)]
        derived = [(feature.name, compile_expression(feature.expression, numeric)) for feature in document.derived]
        tables = {
            output.source: CodeTable.of(output) for output in document.outputs if isinstance(output, CategoricalOutput)
        }
        self._columns = ColumnarPlan(document, tables, derived, self.width)
        self._rows = RowPlan(document, tables, derived, self.width)
        self.blocks = BlockPlan.of(document, tables, derived, self.width)
        self.quick = QuickPlan.of(document, tables, self.width)
        self.nbytes = self.width * 200 + sum(table.nbytes for table in tables.values()) + sys.getsizeof(document)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Encoder":
        return cls(EncoderDocument.model_validate_json(text))

    def to_json(self) -> str:
        return self.document.model_dump_json()

    @property
    def signature_features(self) -> tuple[FeatureSpec, ...]:
        return self.document.features

    def transform(self, columns: Columns) -> FloatArray:
        """(n, width). Columns that are no features are ignored. Raises `InvalidInput`."""
        return self.encode_columns(columns).matrix

    def encode_columns(self, columns: Columns) -> Encoded:
        return self._columns.encode(self._columns.sources_of_columns(columns))

    def encode_blocks(self, columns: Columns, block_rows: int) -> Iterator[Encoded]:
        """The table in blocks, so that a wide one-hot matrix of all rows never exists at once. Checked before the first block."""
        sources = self._columns.sources_of_columns(columns)
        rows = len(next(iter(sources.values())))
        for start in range(0, max(rows, 1), block_rows):
            yield self._columns.encode({name: values[start : start + block_rows] for name, values in sources.items()})

    def encode_rows(self, rows: Sequence[Mapping[str, object]], pointer: str = INPUTS) -> FloatArray:
        """(n, width). Raises `InvalidInput` naming every wrong feature as `<pointer>/<row>/<feature>`."""
        return self.read_rows(rows, pointer).matrix

    def read_rows(self, rows: Sequence[Mapping[str, object]], pointer: str = INPUTS) -> Encoded:
        if len(rows) <= FEW_ROWS:
            return self._read_few(rows, pointer)
        return self._columns.encode(self._columns.sources_of_rows(rows, pointer))

    def _read_few(self, rows: Sequence[Mapping[str, object]], pointer: str) -> Encoded:
        """Row by row: for a handful, columns cost more than they save."""
        matrix = np.zeros((len(rows), self.width))
        unseen: Counter[str] = Counter()
        try:
            for index, row in enumerate(rows):
                matrix[index], names = self._rows.encode(row, pointer)
                unseen.update(names)
        except InvalidInput:
            check_rows(rows, self.document.features, pointer)
            raise
        features = len(self.document.features)
        missing = sum(len(row) < features or None in row.values() for row in rows)
        return Encoded(matrix=matrix, unseen=dict(unseen), rows_with_missing=missing)

    def encode_row(self, row: Mapping[str, object], pointer: str = INPUT_DATA) -> tuple[FloatArray, tuple[str, ...]]:
        """The (width,) vector and the features whose category training never saw; the same bits as `encode_rows`."""
        return self._rows.encode(row, pointer)

    def check_row(self, row: Mapping[str, object], pointer: str = INPUT_DATA) -> None:
        """Raises `InvalidInput` naming all that is wrong."""
        check_row(row, self.document.features, pointer)


def _texts(document: EncoderDocument) -> frozenset[str]:
    return frozenset(output.source for output in document.outputs if isinstance(output, CategoricalOutput))
