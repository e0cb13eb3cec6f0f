"""The quick way to read a batch: its rows go from the body's bytes to the engine's matrix without becoming objects.

It takes less than the general way and never something else: whatever is unusual (an unknown member, a wrong type, one row too
many) makes it give up, and the door reads the body again row by row, which also names what is wrong.
"""

import re
from dataclasses import dataclass

from mill_pack import Encoded, Package

_LONGEST_ENVELOPE = 1 << 12
_BLANK = rb"[ \t\n\r]*"
_MEMBER = rb'"(?:return_probabilities|use_cache)"' + _BLANK + rb":" + _BLANK + rb"(?:true|false)" + _BLANK
_HEAD = re.compile(
    _BLANK + rb"\{(?:" + _BLANK + _MEMBER + rb",)*" + _BLANK + rb'"inputs"' + _BLANK + rb":" + _BLANK + rb"\["
)
_TAIL = re.compile(_BLANK + rb"(?:," + _BLANK + _MEMBER + rb")*\}" + _BLANK)
_SHOWN = re.compile(rb'"return_probabilities"' + _BLANK + rb":" + _BLANK + rb"(true|false)")


@dataclass(frozen=True, slots=True)
class Block:
    encoded: Encoded
    return_probabilities: bool


def read_block(package: Package, body: bytes, most_rows: int) -> Block | None:
    """`{"inputs": [rows], "return_probabilities": true, "use_cache": true}`, or None where the slow way must look."""
    head = _HEAD.match(body, 0, _LONGEST_ENVELOPE)
    found = package.read_objects(body, head.end(), most_rows) if head else None
    if head is None or found is None:
        return None
    end, encoded = found
    if len(body) - end > _LONGEST_ENVELOPE or not _TAIL.fullmatch(body, end):
        return None
    said = _SHOWN.findall(head[0]) + _SHOWN.findall(body, end)
    return Block(encoded, said[-1] == b"true" if said else True)
