"""The quick way for one row gives the bits of the usual one, or nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_contracts.recipe import DerivedFeature
from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, InvalidInput
from mill_pack.encoding import Encoder, EncoderDocument
from mill_pack.encoding.document import CategoricalOutput, NumericOutput

numbers = some.one_of(some.none(), some.integers(), some.floats(allow_nan=False, allow_infinity=False))
texts = some.one_of(some.none(), some.sampled_from(["Oslo", "Bergen", "Paris", ""]))
FEATURES = (
    FeatureSpec(name="age", kind=ColumnKind.NUMBER, nullable=True),
    FeatureSpec(name="city", kind=ColumnKind.STRING, nullable=True),
    FeatureSpec(name="flag", kind=ColumnKind.BOOLEAN, nullable=True),
    FeatureSpec(name="place", kind=ColumnKind.STRING, nullable=True),
)
CITIES = ("Bergen", "Oslo")


def encoder() -> Encoder:
    outputs = (
        CategoricalOutput(source="place", mode="ordinal", categories=CITIES, missing="bucket", shift=0.3, scale=1.7),
        NumericOutput(source="age", fill=3.25, shift=0.1, scale=0.7),
        CategoricalOutput(source="city", mode="one_hot", categories=CITIES),
        NumericOutput(source="flag"),
    )
    return Encoder(EncoderDocument(features=FEATURES, outputs=outputs))


@settings(max_examples=300, deadline=None)
@given(age=numbers, city=texts, flag=some.sampled_from([None, True, False]), place=texts)
def test_it_gives_the_bits_of_the_usual_way_or_nothing(
    age: float | None, city: str | None, flag: bool | None, place: str | None
) -> None:
    one = encoder()
    assert one.quick is not None
    vector = one.quick.vector((age, city, flag, place))
    if vector is None:
        return
    usual, unseen = one.encode_row({"age": age, "city": city, "flag": flag, "place": place})
    assert vector.tobytes() == usual.tobytes()
    assert not unseen


def test_ordinary_rows_are_taken_and_unseen_categories_are_not() -> None:
    quick = encoder().quick
    assert quick is not None
    assert quick.vector((40, "Oslo", True, "Bergen")) is not None
    assert quick.vector((None, None, None, None)) is not None
    assert quick.vector((40, "Paris", True, "Bergen")) is None
    assert quick.vector((40, "Oslo", True, "Paris")) is None
    assert quick.vector((10**400, "Oslo", True, "Bergen")) is None
    assert quick.vector(("x", "Oslo", True, "Bergen")) is None


@pytest.mark.parametrize("fill", [None, 2.5])
def test_numbers_that_are_not_changed_are_copied_and_missing_ones_filled(fill: float | None) -> None:
    features = tuple(FeatureSpec(name=name, kind=ColumnKind.NUMBER, nullable=True) for name in "ab")
    one = Encoder(
        EncoderDocument(features=features, outputs=tuple(NumericOutput(source=name, fill=fill) for name in "ab"))
    )
    assert one.quick is not None
    for values in ((1.5, -0.0), (None, 7), (3, None)):
        vector = one.quick.vector(values)
        assert vector is not None
        assert vector.tobytes() == one.encode_row(dict(zip("ab", values, strict=True)))[0].tobytes()
    assert one.quick.vector(("x", 1)) is None
    with pytest.raises(InvalidInput):
        one.encode_row({"a": "x", "b": 1})


def test_dates_and_derived_features_are_left_to_the_usual_way() -> None:
    day = FeatureSpec(name="day", kind=ColumnKind.DATE)
    assert Encoder(EncoderDocument(features=(day,), outputs=(NumericOutput(source="day"),))).quick is None
    number = FeatureSpec(name="x", kind=ColumnKind.NUMBER)
    derived = (DerivedFeature(name="twice", expression="x * 2"),)
    outputs = (NumericOutput(source="twice"),)
    assert Encoder(EncoderDocument(features=(number,), derived=derived, outputs=outputs)).quick is None
