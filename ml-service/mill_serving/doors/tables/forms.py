"""Which form a Content-Type or an Accept means. Arrow's library is loaded with the first request that needs it."""

from dataclasses import dataclass
from typing import Literal

from mill_pack import Predictions

from mill_serving.errors import BatchTooLarge, InvalidRequest, NotAcceptable, UnsupportedMediaType
from mill_serving.intake import Row, Table, Wanted

FormName = Literal["json", "ndjson", "csv", "arrow", "parquet"]

CONTENT_TYPES: dict[FormName, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_NAMES: dict[str, FormName] = {
    "": "json",
    "application/json": "json",
    "application/x-www-form-urlencoded": "json",  # what curl -d says of whatever it sends
    "application/octet-stream": "json",
    "text/plain": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/jsonlines": "ndjson",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
_CELLS_PER_ROW = 512
"""With the usual caps a few more cells than fit into a body at four bytes each. Wider tables take fewer rows."""
_ANYTHING = frozenset({"", "*/*", "application/*"})


@dataclass(frozen=True, slots=True)
class Caps:
    """How much one request may hold once unpacked."""

    rows: int
    body_bytes: int

    def check(self, rows: int) -> None:
        """Raises `BatchTooLarge`, or `InvalidRequest` where there is no row at all."""
        if rows == 0:
            detail = "must hold at least one row"
            raise InvalidRequest("there are no rows", errors=[{"pointer": "/inputs", "detail": detail}])
        if rows > self.rows:
            raise BatchTooLarge(rows, self.rows)

    def check_cells(self, rows: int, columns: int) -> None:
        """Cells may weigh nothing until they are unpacked. Raises as `check` does."""
        self.check(rows)
        most = max(1, self.rows * _CELLS_PER_ROW // max(columns, 1))
        if rows > most:
            raise BatchTooLarge(rows, most)


def form_of(content_type: str, parameters: dict[str, str] | None = None) -> FormName:
    """Raises `UnsupportedMediaType`."""
    charset = (parameters or {}).get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedMediaType(f"{content_type}; charset={charset}", ("UTF-8",))
    form = _NAMES.get(content_type)
    if form is None:
        raise UnsupportedMediaType(content_type, tuple(CONTENT_TYPES.values()))
    return form


def answer_form(accept: str, asked: FormName) -> FormName:
    """The form of the request, unless Accept names others; the first that is known counts. Raises `NotAcceptable`."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if any(name in _ANYTHING or _NAMES.get(name) == asked for name in wanted):
        return asked
    for name in wanted:
        if name in _NAMES:
            return _NAMES[name]
    raise NotAcceptable(accept, tuple(CONTENT_TYPES.values()))


def read_table(form: FormName, body: bytes, wanted: Wanted, caps: Caps, *, header: bool = True) -> Table | list[Row]:
    """Blocks; for every form but JSON. Raises `InvalidRequest`, `InvalidInput`, `BodyTooLarge` or `BatchTooLarge`."""
    if form == "ndjson":
        from mill_serving.doors.tables import ndjson

        return ndjson.read(body, caps)
    from mill_serving.doors.tables import arrow, separated

    if form == "csv":
        return separated.read(body, wanted, caps, header=header)
    return arrow.read_stream(body, wanted, caps) if form == "arrow" else arrow.read_parquet(body, wanted, caps)


def write_table(form: FormName, found: Predictions, *, probabilities: bool) -> bytes:
    if form == "ndjson":
        from mill_serving.doors.tables import ndjson

        return ndjson.write(found, probabilities=probabilities)
    from mill_serving.doors.tables import arrow

    return arrow.write(form, found, probabilities=probabilities)
