"""Schema errors in plain sentences."""

from typing import Annotated

import pytest
from mill_kit.http.sentences import sentence
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="abc", min_length=1, max_length=5, pattern="^[a-z]*$")
    code: str = Field(default="abc", min_length=2)
    items: list[int] = Field(default=[1], min_length=1, max_length=2)
    even: Annotated[int, AfterValidator(_even)] = 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"other": 1}, "is not a field of this request; remove it"),
        ({"name": ""}, "must not be empty"),
        ({"code": ""}, "is too short; it needs at least 2 characters"),
        ({"name": "abcdef"}, "is too long; at most 5 characters are allowed"),
        ({"name": "A"}, "does not have the form ^[a-z]*$"),
        ({"items": []}, "has 0 entries; it needs at least 1"),
        ({"items": [1, 2, 3]}, "has too many entries; at most 2 are allowed"),
        ({"even": 3}, "must be even"),
        ({"even": "x"}, "Input should be a valid integer, unable to parse string as an integer"),
    ],
    ids=str,
)
def test_what_a_schema_refuses_is_told_in_plain_words(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        _Wish.model_validate(given)
    assert [sentence(error) for error in refusal.value.errors()] == [told]
