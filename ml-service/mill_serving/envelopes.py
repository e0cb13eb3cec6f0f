"""What stands around the rows of a request: `{"inputs": […], "return_probabilities": true, "use_cache": true}` in any order.

`blocks` and `single` find the rows by it without decoding them. Members named twice, with escapes, or unknown are not for it.
"""

import re
from dataclasses import dataclass

_LONGEST = 1 << 12
_BLANK = rb"[ \t\n\r]*"
_MEMBER = rb'"(?:return_probabilities|use_cache)"' + _BLANK + rb":" + _BLANK + rb"(?:true|false)" + _BLANK
_TAIL = re.compile(_BLANK + rb"(?:," + _BLANK + _MEMBER + rb")*\}" + _BLANK)
_SHOWN = re.compile(rb'"return_probabilities"' + _BLANK + rb":" + _BLANK + rb"(true|false)")


@dataclass(frozen=True, slots=True)
class Envelope:
    head: re.Pattern[bytes]

    @classmethod
    def around(cls, name: bytes) -> "Envelope":
        """`name`: of the member that holds the rows."""
        member = rb'"' + name + rb'"' + _BLANK + rb":" + _BLANK
        return cls(re.compile(_BLANK + rb"\{(?:" + _BLANK + _MEMBER + rb",)*" + _BLANK + member))

    def begin(self, body: bytes) -> int | None:
        """Where the value begins."""
        found = self.head.match(body, 0, _LONGEST)
        return found.end() if found else None

    def asks_probabilities(self, body: bytes, begin: int, end: int) -> bool | None:
        """By what stands before and behind the value; None where the rest is not as it should be."""
        if len(body) - end > _LONGEST or not _TAIL.fullmatch(body, end):
            return None
        said = _SHOWN.findall(body, 0, begin) + _SHOWN.findall(body, end)
        return said[-1] == b"true" if said else True
