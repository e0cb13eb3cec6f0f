"""The quick way to read a batch: its rows go from the body's bytes to the engine's matrix without becoming objects.

It takes less than the general way and never something else: whatever is unusual (an unknown member, a wrong type, one row too
many) makes it give up, and the door reads the body again row by row, which also names what is wrong.
"""

from dataclasses import dataclass

from mill_pack import Encoded, Package

from mill_serving.envelopes import Envelope

_ENVELOPE = Envelope.around(b"inputs")


@dataclass(frozen=True, slots=True)
class Block:
    encoded: Encoded
    return_probabilities: bool


def read_block(package: Package, body: bytes, most_rows: int) -> Block | None:
    """`{"inputs": [rows], …}`, or None where the slow way must look."""
    begin = _ENVELOPE.begin(body)
    if begin is None or body[begin : begin + 1] != b"[":
        return None
    found = package.read_objects(body, begin + 1, most_rows)
    if found is None:
        return None
    end, encoded = found
    shown = _ENVELOPE.asks_probabilities(body, begin, end)
    return None if shown is None else Block(encoded, shown)
