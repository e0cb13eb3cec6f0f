"""The fitted state of an encoder as a document: it lies in the manifest, and `Encoder` is compiled from it."""

from typing import Annotated, Literal

from mill_contracts.base import Contract
from mill_contracts.recipe import ColumnName, DerivedFeature
from mill_contracts.tables import ColumnKind
from pydantic import Field, model_validator

from mill_pack.signature import NUMERIC_KINDS, FeatureSpec

MAX_WIDTH = 50_000

DatePart = Literal["value", "year", "month", "weekday", "hour"]


class EncodingStyle(Contract):
    """What an algorithm wants where the recipe says `auto`."""

    categories: Literal["ordinal", "one_hot"] = "ordinal"
    scaling: Literal["none", "standard", "minmax"] = "none"
    needs_imputation: bool = False


class NumericOutput(Contract):
    """One matrix column: `(part of (source, or fill where missing) - shift) / scale`. Without a fill, missing stays NaN."""

    kind: Literal["numeric"] = "numeric"
    source: ColumnName
    part: DatePart = "value"
    fill: float | None = None
    shift: float = 0.0
    scale: float = Field(default=1.0, gt=0.0)

    @property
    def width(self) -> int:
        return 1

    @property
    def names(self) -> tuple[str, ...]:
        return (self.source if self.part == "value" else f"{self.source}.{self.part}",)


class CategoricalOutput(Contract):
    """The columns of one string. Codes: the categories in order, then `other` (rare in training), then the missing bucket.

    A category training never saw takes the code of `other`; without one, the code after all others (ordinal) or all zeros (one-hot).
    """

    kind: Literal["categorical"] = "categorical"
    source: ColumnName
    mode: Literal["ordinal", "one_hot"]
    categories: tuple[str, ...]
    other: bool = False
    missing: Literal["keep", "bucket", "most_frequent"] = "keep"
    shift: float = 0.0
    scale: float = Field(default=1.0, gt=0.0)

    @property
    def codes(self) -> int:
        return len(self.categories) + self.other + (self.missing == "bucket")

    @property
    def unseen_code(self) -> int:
        return len(self.categories) if self.other else self.codes

    @property
    def missing_code(self) -> int | None:
        if self.missing == "keep" or not self.codes:
            return None
        return 0 if self.missing == "most_frequent" else self.codes - 1

    @property
    def width(self) -> int:
        return 1 if self.mode == "ordinal" else self.codes

    @property
    def names(self) -> tuple[str, ...]:
        if self.mode == "ordinal":
            return (self.source,)
        extra = ("(other)",) * self.other + ("(missing)",) * (self.missing == "bucket")
        return tuple(f"{self.source}={category}" for category in self.categories + extra)


Output = Annotated[NumericOutput | CategoricalOutput, Field(discriminator="kind")]


class EncoderDocument(Contract):
    """`features` are the inputs in the order they are published; `outputs` give the matrix columns from left to right."""

    features: tuple[FeatureSpec, ...] = Field(min_length=1)
    derived: tuple[DerivedFeature, ...] = ()
    outputs: tuple[Output, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> "EncoderDocument":
        texts = [feature.name for feature in self.features if feature.kind is ColumnKind.STRING]
        numbers = [feature.name for feature in self.features if feature.kind in NUMERIC_KINDS]
        if len(texts) + len(numbers) != len(self.features):
            raise ValueError("a feature is of a kind that holds no values")
        numbers += [derived.name for derived in self.derived]
        if len({*texts, *numbers}) != len(texts) + len(numbers):
            raise ValueError("two features of the encoder have one name")
        if not all(feature.nullable or feature.required for feature in self.features):
            raise ValueError("a feature that may be left out must be nullable")
        if sorted(output.source for output in self.outputs if output.kind == "categorical") != sorted(texts):
            raise ValueError("every string feature needs one categorical output")
        if not {output.source for output in self.outputs if output.kind == "numeric"} <= set(numbers):
            raise ValueError("a numeric output has no source of its kind")
        if not 0 < sum(output.width for output in self.outputs) <= MAX_WIDTH:
            raise ValueError(f"the encoder has no columns, or more than {MAX_WIDTH}")
        return self
