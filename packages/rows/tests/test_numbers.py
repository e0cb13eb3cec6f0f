"""Numbers are read as Python's own json and float read them, to the last bit, or not at all."""

import math
import random
import re
import struct
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_rows import read_flat

digits = some.text("0123456789", min_size=1, max_size=25)
wholes = some.one_of(some.just("0"), some.integers(1, 10**20).map(str))
fractions = some.one_of(some.just(""), digits.map(lambda text: "." + text))
powers = some.one_of(
    some.just(""), some.tuples(some.sampled_from("eE"), some.sampled_from(["", "+", "-"]), some.integers(0, 400))
)
parts = some.tuples(some.sampled_from(["", "-"]), wholes, fractions, powers.map(lambda power: "".join(map(str, power))))


def numbers(text: str) -> list[float] | None:
    found = read_flat(f"[{text}]".encode(), 1, 1 << 20)
    return None if found is None else np.frombuffer(found[1]).tolist()


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


def expected(text: str) -> float:
    """As msgspec and json do: a whole number becomes an int first, so that -0 has no sign."""
    return float(int(text)) if re.fullmatch(r"-?[0-9]+", text) else float(text)


def agrees(text: str) -> None:
    value = expected(text)
    found = numbers(text)
    if math.isfinite(value):
        assert found is not None, text
        assert bits(found[0]) == bits(value), text
    else:
        assert found is None, text


@settings(max_examples=1000, deadline=None)
@given(some.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back_as_it_was_written(number: float) -> None:
    agrees(repr(number))
    agrees(f"{number:.16e}")


@settings(max_examples=300, deadline=None)
@given(parts.map("".join))
def test_any_number_of_json_is_read_as_python_reads_it(text: str) -> None:
    agrees(text)


def test_numbers_halfway_between_two_floats_and_beside_go_to_the_right_one() -> None:
    chosen = random.Random(1)  # noqa: S311
    for _ in range(3000):
        number = abs(struct.unpack("<d", chosen.randbytes(8))[0])
        if not 1e-300 < number < 1e300:
            continue
        middle = (Decimal(number) + Decimal(math.nextafter(number, math.inf))) / 2
        for text in (f"{middle:.40e}", f"{middle:.18e}", f"{middle:.17e}", f"{middle:f}"[:400]):
            agrees(text.rstrip("."))


def test_many_numbers_of_all_lengths_and_powers_are_rounded_right() -> None:
    chosen = random.Random(2)  # noqa: S311
    for _ in range(100_000):
        digits = chosen.randrange(10 ** chosen.randrange(1, 22))
        power = chosen.choice([0, 0, chosen.randrange(-30, 30), chosen.randrange(-345, 310)])
        agrees(f"{digits}e{power}" if power else f"{digits}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        ".5",
        "1.",
        "01",
        "-01",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "nul",
        "1 2",
        "1,",
        ",1",
        "1e400",
        "'1'",
        "true",
    ],
)
def test_what_is_no_number_is_given_up(text: str) -> None:
    assert numbers(text) is None


def test_null_is_nan_and_lists_may_be_nested_once() -> None:
    found = read_flat(b"[[1, null] , [3e0, 4]]x", 1, 10)
    assert found is not None
    end, values, width = found
    assert (end, width) == (22, 2)
    assert np.array_equal(np.frombuffer(values), [1.0, np.nan, 3.0, 4.0], equal_nan=True)
    assert read_flat(b"[[1], 2]", 1, 10) is None
    assert read_flat(b"[[1, 2], [3]]", 1, 10) is None
    assert read_flat(b"[[1], [2, 3]]", 1, 10) is None
    assert read_flat(b"[1, [2]]", 1, 10) is None
    assert read_flat(b"[[[1]]]", 1, 10) is None
    assert read_flat(b"[[]]", 1, 10) is None
    assert read_flat(b"[1,2,3]", 1, 2) is None
