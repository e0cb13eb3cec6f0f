# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyarrow ships no types; it is confined to this folder behind typed signatures.
"""Arrow IPC streams and Parquet: hostile until validated. Sizes are looked at before anything is unpacked.

Only plain types are read (numbers, booleans, text, dates, dictionaries of text). Text is taken by reference into its dictionary,
so that a long string repeated ten thousand times stays one string.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
from mill_pack import Predictions
from numpy.typing import NDArray

from mill_serving.doors.tables.forms import Caps, FormName
from mill_serving.doors.tables.messages import unpacked_bytes
from mill_serving.doors.tables.pages import extent_of
from mill_serving.errors import BodyTooLarge, InvalidRequest
from mill_serving.intake import Table, Wanted

_WIDEST = 20_000
_MOST_BATCHES = 1_000
_MILLISECONDS = pa.timestamp("ms", tz="UTC")


def read_stream(body: bytes, wanted: Wanted, caps: Caps) -> Table:
    """Raises `InvalidRequest`, `InvalidInput`, `BodyTooLarge` or `BatchTooLarge`."""
    try:
        whole = _checked_schema(pa_ipc.open_stream(pa.BufferReader(body)).schema)
        fields = _fields(whole, wanted)
        if unpacked_bytes(pa_ipc.MessageReader.open_stream(pa.BufferReader(body))) > caps.body_bytes:
            raise BodyTooLarge(caps.body_bytes)
        stream = pa_ipc.open_stream(pa.BufferReader(body), options=pa_ipc.IpcReadOptions(included_fields=fields))
        schema = stream.schema
        rows, batches = 0, []
        for batch in stream:
            rows += batch.num_rows
            caps.check_cells(max(rows, 1), len(fields))
            if len(batches) == _MOST_BATCHES:
                raise InvalidRequest(f"the Arrow stream holds more than {_MOST_BATCHES:,} record batches; join them")
            batch.validate(full=True)
            batches.append(batch)
        caps.check(rows)
        if len(batches) == 1:
            return dict(zip(schema.names, map(_numpy, batches[0].columns), strict=True))
        return _columns(pa.Table.from_batches(batches, schema))
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        raise InvalidRequest(f"the Arrow stream cannot be read: {str(error)[:300]}") from None


def read_parquet(body: bytes, wanted: Wanted, caps: Caps) -> Table:
    """Raises `InvalidRequest`, `InvalidInput`, `BodyTooLarge` or `BatchTooLarge`."""
    try:
        extent = extent_of(body)
        caps.check(extent.rows)
        if extent.unpacked > caps.body_bytes:
            raise BodyTooLarge(caps.body_bytes)
        source = pa.BufferReader(body)
        schema = _checked_schema(pq.read_schema(source))
        fields = _fields(schema, wanted)
        caps.check_cells(extent.rows, len(fields))
        texts = [schema[field].name for field in fields if _is_text(schema[field].type)]
        file = pq.ParquetFile(source, read_dictionary=texts, pre_buffer=False)
        table = file.reader.read_all(column_indices=fields, use_threads=False)
        table.validate(full=True)
        caps.check_cells(table.num_rows, len(fields))
        return _columns(table)
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        raise InvalidRequest(f"the Parquet file cannot be read: {str(error)[:300]}") from None


def write(form: FormName, found: Predictions, *, probabilities: bool) -> bytes:
    """CSV, Arrow or Parquet: `prediction`, and for a classification `confidence`, `low_confidence`, `probability_<class>`."""
    table = _answer(found, probabilities=probabilities)
    sink = pa.BufferOutputStream()
    if form == "csv":
        pa_csv.write_csv(_without_formulas(table), sink)
    elif form == "parquet":
        pq.write_table(table, sink, compression="snappy")
    else:
        with pa_ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _without_formulas(table: Any) -> Any:
    """A spreadsheet takes a label that begins like a formula as text; labels that are numbers stay numbers."""
    labels = table.column("prediction")
    if pa.types.is_string(labels.type):
        formula = pc.and_(
            pc.match_substring_regex(labels, r"^[=+\-@\t\r\x00]"),
            pc.invert(pc.match_substring_regex(labels, r"^[+\-]?[0-9]+(\.[0-9]+)?([eE][+\-]?[0-9]+)?$")),
        )
        guarded = pc.if_else(formula, pc.binary_join_element_wise("'", labels, ""), labels)
        table = table.set_column(table.schema.get_field_index("prediction"), "prediction", guarded)
    return table


def _answer(found: Predictions, *, probabilities: bool) -> Any:
    columns: dict[str, Any] = {"prediction": pa.array(found.values, type=pa.string() if found.labels else pa.float64())}
    if found.confidence is not None:
        columns["confidence"] = pa.array(found.confidence)
        columns["low_confidence"] = pa.array(found.low_confidence)
    if probabilities and found.probabilities is not None:
        names = [f"probability_{label}" for label in found.labels]
        columns |= dict(zip(names, map(pa.array, found.probabilities.T), strict=True))
    return pa.table(columns)


def _checked_schema(schema: Any) -> Any:
    names: list[str] = schema.names
    if len(names) > _WIDEST:
        raise InvalidRequest("the table has too many columns")
    if len(set(names)) != len(names):
        raise InvalidRequest("the table names a column twice")
    for field in schema:
        if not _is_plain(field.type):
            detail = f"columns of the type {field.type} are not read; send numbers, booleans, text or dates"
            raise InvalidRequest(f"{field.name}: {detail}", errors=[{"column": field.name, "detail": detail}])
    return schema


def _fields(schema: Any, wanted: Wanted) -> list[int]:
    """The columns to unpack by number: columns of plain types are as many here as in the file."""
    chosen = set(wanted.chosen(schema.names))
    return [number for number, name in enumerate(schema.names) if name in chosen]


def _is_plain(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return is_number or types.is_boolean(kind) or types.is_null(kind) or _is_moment(kind) or _is_text(kind)


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_moment(kind: Any) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _columns(table: Any) -> Table:
    return {
        name: np.concatenate([_numpy(chunk) for chunk in column.chunks]) if column.num_chunks else np.empty(0)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _numpy(array: Any) -> NDArray[Any]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        used = array.indices.unique()
        values = _objects(array.dictionary.take(used).to_pylist())
        return values[pc.index_in(array.indices, value_set=used).to_numpy(zero_copy_only=False)]
    if _is_text(kind) or pa.types.is_null(kind):
        return _objects(array.to_pylist())
    if pa.types.is_boolean(kind):
        return _objects(array.to_pylist()) if array.null_count else array.to_numpy(zero_copy_only=False)
    if _is_moment(kind):
        array = array.cast(_MILLISECONDS, safe=False).cast(pa.int64())
    if array.null_count or pa.types.is_decimal(kind):
        array = array.cast(pa.float64(), safe=False)
    return array.to_numpy(zero_copy_only=False)


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
