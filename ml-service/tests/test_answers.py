"""The prediction cache: what counts as the same row."""

from mill_pack import Prediction
from mill_serving.answers import AnswerCache


def test_the_order_of_members_does_not_matter_but_their_types_do() -> None:
    cache = AnswerCache(10)
    assert cache.key("v", {"a": 1, "b": "x"}) == cache.key("v", {"b": "x", "a": 1})
    keys = {cache.key("v", {"a": value}) for value in (1, 1.0, True, "1", None)}
    assert len(keys) == 5
    assert cache.key("v", {"a": 1}) != cache.key("w", {"a": 1})


def test_the_oldest_answer_goes_first() -> None:
    cache = AnswerCache(2)
    for name in ("a", "b"):
        cache.put(("v", name.encode()), Prediction(name))
    assert cache.get(("v", b"a")) == Prediction("a")
    cache.put(("v", b"c"), Prediction("c"))
    assert cache.get(("v", b"b")) is None
    assert len(cache) == 2
    assert (cache.hits, cache.misses) == (1, 1)


def test_a_very_long_row_is_not_kept() -> None:
    assert AnswerCache(2).key("v", {"a": "x" * 10_000}) is None
