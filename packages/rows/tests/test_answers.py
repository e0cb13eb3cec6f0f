"""Answers are joined from numbers and pieces, and what does not fit is refused."""

import json
from typing import Any

import numpy as np
import pytest
from mill_rows import join_pieces, join_rows

HEADS = (b'{"label":"a","sure":', b'{"label":"b","sure":')
BETWEEN = (b',"all":[', b",")
TAILS = (b'],"low":false}', b'],"low":true}')
WINNERS = np.array([0, 1, 1])
MARKS = np.array([False, True, False])


def test_rows_are_joined_in_order() -> None:
    text = join_rows(b"[0.75,0.25,0.1,0.9,1e-7,1.0]", 2, WINNERS, MARKS, HEADS, BETWEEN, TAILS, ord(","))
    assert json.loads(b"[" + text + b"]") == [
        {"label": "a", "sure": 0.75, "all": [0.75, 0.25], "low": False},
        {"label": "b", "sure": 0.9, "all": [0.1, 0.9], "low": True},
        {"label": "b", "sure": 1.0, "all": [1e-7, 1.0], "low": False},
    ]


def test_a_number_alone_has_no_pieces_between() -> None:
    text = join_rows(b"[1.5,2.5]", 1, np.zeros(2, dtype=np.int64), MARKS[:2], (b"<",), (), (b">", b"!>"), ord("\n"))
    assert text == b"<1.5>\n<2.5!>"


@pytest.mark.parametrize(
    "numbers", [b"", b"[]", b"[1,2,3,4,5]", b"[1,2,3,4,5,6,7]", b"[1,2,3,4,5,]", b"[1,2,3,4,5," + b"9" * 40 + b"]"]
)
def test_numbers_of_another_count_are_refused(numbers: bytes) -> None:
    with pytest.raises(ValueError, match="fit"):
        join_rows(numbers, 2, WINNERS, MARKS, HEADS, BETWEEN, TAILS, ord(","))


@pytest.mark.parametrize("winners", [[0, 1, 2], [0, 1, -1], [0, 1]])
def test_a_winner_that_does_not_exist_is_refused(winners: list[int]) -> None:
    with pytest.raises(ValueError, match="fit"):
        join_rows(b"[1,2,3,4,5,6]", 2, np.array(winners), MARKS, HEADS, BETWEEN, TAILS, ord(","))


def test_texts_that_repeat_are_joined_in_order() -> None:
    assert join_pieces(np.array([1, 0, 2, 1]), (b"no", b"yes", b"")) == b"yesnoyes"
    assert join_pieces(np.zeros(0, dtype=np.int64), ()) == b""


@pytest.mark.parametrize("places", [[0, 2], [-1], [2**40]])
def test_a_place_without_a_text_is_refused(places: list[int]) -> None:
    with pytest.raises(ValueError, match="place"):
        join_pieces(np.array(places), (b"no", b"yes"))


def test_places_of_another_width_are_refused() -> None:
    narrow: Any = np.array([1], dtype=np.int32)
    with pytest.raises(ValueError, match="int64"):
        join_pieces(narrow, (b"no", b"yes"))
