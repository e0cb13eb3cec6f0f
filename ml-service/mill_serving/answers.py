"""Answers given before, by package and row: worth it only for models that cost more than looking up. The engine alone uses it."""

from collections import OrderedDict

import msgspec
from mill_pack import Prediction

_LONGEST_ROW = 8192
_encode = msgspec.json.Encoder(order="sorted").encode

Key = tuple[str, bytes]


class AnswerCache:
    """The last `capacity` answers. The key is the row as sorted JSON, in which `1`, `1.0` and `true` stay three things."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._answers: OrderedDict[Key, Prediction] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._answers)

    def key(self, sha256: str, row: object) -> Key | None:
        """None for a row too long to be kept."""
        text = _encode(row)
        return (sha256, text) if len(text) <= _LONGEST_ROW else None

    def get(self, key: Key) -> Prediction | None:
        answer = self._answers.get(key)
        if answer is None:
            self.misses += 1
            return None
        self.hits += 1
        self._answers.move_to_end(key)
        return answer

    def look_up(self, row: object) -> Prediction | None:
        """Key and look-up in one: what a request pays before it may have to predict after all."""
        key = self.key("", row)
        return self.get(key) if key is not None else None

    def put(self, key: Key, answer: Prediction) -> None:
        self._answers[key] = answer
        if len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
