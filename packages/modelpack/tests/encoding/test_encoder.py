"""Training, single rows, lists of rows and tables meet in one matrix, bit by bit."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mill_contracts.recipe import DerivedFeature, Imputation
from mill_contracts.tables import ColumnKind
from mill_pack import Encoder, EncodingStyle, FeatureSpec, FloatArray
from mill_pack.encoding import EncoderDocument
from mill_pack.encoding.document import CategoricalOutput, NumericOutput

DERIVED = (
    DerivedFeature(name="ratio", expression="hours / age"),
    DerivedFeature(name="log gain", expression="log1p([capital gain]) * 2"),
)


@pytest.mark.parametrize("style", ["tree", "linear"])
@pytest.mark.parametrize("scaling", ["auto", "minmax"])
@pytest.mark.parametrize("categories", ["auto", "ordinal", "one_hot"])
def test_training_serving_and_batch_give_the_same_bits(
    table: Any, fit: Any, styles: dict[str, EncodingStyle], style: str, scaling: str, categories: str
) -> None:
    encoder = fit(styles[style], scaling=scaling, categories=categories, derived=DERIVED, max_categories=4)
    trained = encoder.transform(table.columns)
    served = Encoder.from_json(encoder.to_json())
    rows = table.rows(encoder)
    singles = np.array([served.encode_row(row)[0] for row in rows])
    blocks = np.concatenate([block.matrix for block in served.encode_blocks(table.columns, 64)])
    assert served.output_names == encoder.output_names
    assert trained.shape == (len(rows), encoder.width)
    assert trained.tobytes() == served.encode_rows(rows).tobytes() == singles.tobytes() == blocks.tobytes()


def test_an_encoder_survives_json_unchanged(fit: Any, styles: dict[str, EncodingStyle]) -> None:
    document = fit(styles["linear"], derived=DERIVED).document
    assert EncoderDocument.model_validate_json(document.model_dump_json()) == document


def test_the_width_is_that_of_the_names(fit: Any, styles: dict[str, EncodingStyle]) -> None:
    encoder = fit(styles["linear"], derived=DERIVED, max_categories=3)
    assert len(encoder.output_names) == encoder.width
    assert {"job=(other)", "job=(missing)", "joined.weekday", "seen at.hour", "ratio"} <= set(encoder.output_names)


ENCODER = Encoder(
    EncoderDocument(
        features=(
            FeatureSpec(name="x", kind=ColumnKind.NUMBER, nullable=True),
            FeatureSpec(name="n", kind=ColumnKind.INTEGER),
            FeatureSpec(name="c", kind=ColumnKind.STRING, nullable=True, categories=("a", "b")),
            FeatureSpec(name="t", kind=ColumnKind.TIMESTAMP),
        ),
        derived=(DerivedFeature(name="d", expression="x / n + sqrt(x) * log(n)"),),
        outputs=(
            NumericOutput(source="x", fill=0.1, shift=0.3, scale=7.0),
            NumericOutput(source="n", shift=1.0, scale=3.0),
            CategoricalOutput(source="c", mode="one_hot", categories=("a", "b"), missing="bucket"),
            NumericOutput(source="t", part="weekday"),
            NumericOutput(source="t", part="month"),
            NumericOutput(source="d", fill=-1.0, shift=0.2, scale=0.7),
        ),
    )
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "n": st.integers(min_value=-(2**60), max_value=2**60),
                "c": st.none() | st.sampled_from(["a", "b", "never seen", ""]),
                "t": st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_000),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_valid_rows_encode_alike_one_by_one_and_together(rows: list[dict[str, Any]]) -> None:
    together = ENCODER.encode_rows(rows)
    singles = np.array([ENCODER.encode_row(row)[0] for row in rows])
    assert together.tobytes() == singles.tobytes()


def test_an_unseen_category_is_encoded_and_reported(fit: Any, table: Any, styles: dict[str, EncodingStyle]) -> None:
    encoder = fit(styles["tree"], categories="ordinal")
    row = table.rows(encoder)[0] | {"colour": "mauve"}
    vector, unseen = encoder.encode_row(row)
    encoded = encoder.read_rows([row, row])
    assert unseen == ("colour",)
    assert encoded.unseen == {"colour": 2}
    assert vector[encoder.output_names.index("colour")] == 3.0


def test_rare_and_unseen_categories_share_the_bucket_other(
    fit: Any, table: Any, styles: dict[str, EncodingStyle]
) -> None:
    encoder = fit(styles["linear"], max_categories=3)
    (job,) = (spec for spec in encoder.signature_features if spec.name == "job")
    assert job.categories == ("job 1", "job 2")
    row = table.rows(encoder)[0]
    other = encoder.output_names.index("job=(other)")
    for name in ("job 9", "never seen"):
        assert encoder.encode_row(row | {"job": name})[0][other] == 1.0
    assert encoder.encode_row(row | {"job": "job 9"})[1] == ("job",)


def test_missing_values_stay_missing_for_trees(fit: Any, table: Any, styles: dict[str, EncodingStyle]) -> None:
    encoder = fit(styles["tree"], derived=DERIVED)
    vector, _ = encoder.encode_row(table.rows(encoder)[0] | {"hours": None, "job": None})
    missing = {name for name, value in zip(encoder.output_names, vector, strict=True) if value != value}
    assert {"hours", "job", "ratio"} <= missing


@pytest.mark.parametrize("wish", ["mean", "median", "zero"])
def test_numbers_are_imputed_as_wished(
    fit: Any, table: Any, styles: dict[str, EncodingStyle], wish: Literal["mean", "median", "zero"]
) -> None:
    hours: FloatArray = table.columns["hours"]
    expected = {"mean": float(np.nanmean(hours)), "median": float(np.nanmedian(hours)), "zero": 0.0}
    encoder = fit(styles["tree"], imputation=Imputation(numeric=wish))
    vector, _ = encoder.encode_row(table.rows(encoder)[0] | {"hours": None})
    assert vector[encoder.output_names.index("hours")] == pytest.approx(expected[wish])


def test_the_matrix_of_a_linear_model_holds_no_missing_values(
    fit: Any, table: Any, styles: dict[str, EncodingStyle]
) -> None:
    matrix = fit(styles["linear"], derived=DERIVED).transform(table.columns)
    assert np.isfinite(matrix).all()
    assert matrix.mean(axis=0)[0] == pytest.approx(0.0, abs=1e-9)
    assert matrix.std(axis=0)[0] == pytest.approx(1.0)


def test_a_table_of_no_rows_gives_a_matrix_of_no_rows(fit: Any, table: Any, styles: dict[str, EncodingStyle]) -> None:
    encoder = fit(styles["tree"])
    nothing = {name: values[:0] for name, values in table.columns.items()}
    assert encoder.transform(nothing).shape == (0, encoder.width)
    assert encoder.encode_rows([]).shape == (0, encoder.width)
