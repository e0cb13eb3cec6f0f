"""One JSON object a line: rows in, row answers out."""

from typing import Any

import msgspec
from mill_pack import Predictions

from mill_serving.doors.answers import ndjson_rows
from mill_serving.doors.tables.forms import Caps
from mill_serving.errors import InvalidRequest
from mill_serving.intake import Row

_decoder = msgspec.json.Decoder(dict[str, Any])


def read(body: bytes, caps: Caps) -> list[Row]:
    """Empty lines are passed over. Raises `InvalidRequest` naming the line."""
    caps.check(sum(1 for line in body.splitlines() if line.strip()))
    rows: list[Row] = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = f"line {number}: {error}"
            raise InvalidRequest(detail, errors=[{"pointer": f"/inputs/{len(rows)}", "detail": detail}]) from None
    return rows


def write(found: Predictions, *, probabilities: bool) -> bytes:
    return ndjson_rows(found, shown=probabilities)
