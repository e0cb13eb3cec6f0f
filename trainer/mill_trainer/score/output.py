# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyarrow ships no types and makes its compute functions at import; it is confined to a few modules with typed signatures.
"""The file of predictions: row number, the input columns as they came, then what the model says. Parquet or CSV.

Columns: `row` (1-based), the inputs, `prediction`, and for a classification `confidence`, `low_confidence` and, where
asked for, `probability_<class>` in the order of the classes. Should an input bear one of these names, all of ours get
the prefix `model_`. The CSV is safe to open in a spreadsheet: text that would be a formula gets a leading apostrophe;
numbers stay numbers.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from mill_pack import Predictions

FORMULA = r"^[=+\-@\t\r\x00]"
PREFIX = "model_"


class PredictionFile:
    """Written batch by batch under a temporary name; it gets its own when complete. Use it as a context."""

    def __init__(self, target: Path, output_format: Literal["parquet", "csv"], *, probabilities: bool) -> None:
        self._target = target
        self._partial = target.with_name(target.name + ".partial")
        self._format = output_format
        self._probabilities = probabilities
        self._writer: Any = None
        self.columns: tuple[str, ...] = ()
        self.rows: int = 0

    def write(self, inputs: Any, predictions: Predictions) -> None:
        """Append a batch of inputs with their predictions."""
        own = self._own_columns(predictions)
        names = _free_names([name for name, _ in own], inputs.schema.names)
        arrays = [own[0][1], *inputs.columns, *(array for _, array in own[1:])]
        titles = [names[0], *inputs.schema.names, *names[1:]]
        if self._format == "csv":
            arrays, titles = [_safe(array) for array in arrays], [_safe_title(title) for title in titles]
        table = pa.Table.from_arrays(arrays, names=titles)
        if self._writer is None:
            self._writer = self._open(table.schema)
            self.columns = tuple(titles)
        self._writer.write_table(table)
        self.rows += len(predictions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        if kind is None:
            self._partial.replace(self._target)
        else:
            self._partial.unlink(missing_ok=True)

    def _open(self, schema: Any) -> Any:
        if self._format == "csv":
            return pa_csv.CSVWriter(self._partial, schema)
        return pq.ParquetWriter(self._partial, schema, compression="zstd")

    def _own_columns(self, predictions: Predictions) -> list[tuple[str, Any]]:
        count = len(predictions)
        own: list[tuple[str, Any]] = [
            ("row", pa.array(range(self.rows + 1, self.rows + count + 1), type=pa.int64())),
            ("prediction", pa.array(predictions.values, type=pa.string() if predictions.labels else pa.float64())),
        ]
        if predictions.confidence is not None:
            own.append(("confidence", pa.array(predictions.confidence)))
            own.append(("low_confidence", pa.array(predictions.low_confidence)))
        if self._probabilities and predictions.probabilities is not None:
            by_class = predictions.probabilities.T
            own += [
                (f"probability_{label}", pa.array(column))
                for label, column in zip(predictions.labels, by_class, strict=True)
            ]
        return own


def _free_names(own: Sequence[str], taken: Sequence[str]) -> list[str]:
    used = {name.lower() for name in taken}
    names = list(own)
    while any(name.lower() in used for name in names):
        names = [PREFIX + name for name in names]
    return names


def _safe(array: Any) -> Any:
    if not pa.types.is_string(array.type):
        return array
    guarded = pc.binary_join_element_wise("'", array, "")
    return pc.if_else(pc.match_substring_regex(array, FORMULA), guarded, array)


def _safe_title(title: str) -> str:
    return f"'{title}" if title[:1] in ("=", "+", "-", "@", "\t", "\r", "\0") else title
