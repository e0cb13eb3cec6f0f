"""What a model from outside takes and gives: declared by its owner, else told by the file, else by sample rows, else by default."""

import math
from collections.abc import Mapping, Sequence

from mill_contracts.adoption import DeclaredFeature, DeclaredSignature, SampleValue
from mill_contracts.tables import ColumnKind

from mill_pack.encoding import Encoder, EncoderDocument
from mill_pack.encoding.document import CategoricalOutput, NumericOutput
from mill_pack.manifest import JsonValue
from mill_pack.outside.errors import ModelFileRejected
from mill_pack.outside.found import FoundModel, InputStep
from mill_pack.samples import to_json
from mill_pack.signature import FeatureSpec

GOLDEN_ROWS = 20

SampleRows = Sequence[Mapping[str, SampleValue]]
_AS_IT_IS = InputStep()


def encoder_for(found: FoundModel, declared: DeclaredSignature, samples: SampleRows) -> Encoder:
    """The encoder of the model's columns, one feature each. Raises `ModelFileRejected` where the words do not fit the file."""
    features = _features(found, declared, samples)
    steps = found.steps or (_AS_IT_IS,) * found.width
    specs = tuple(_spec(found, feature, samples) for feature in features)
    outputs = tuple(_output(feature, step) for feature, step in zip(features, steps, strict=True))
    try:
        return Encoder(EncoderDocument(features=specs, outputs=outputs))
    except ValueError as error:
        raise ModelFileRejected(f"The signature does not fit the model: {str(error)[:200]}") from error


def classes_for(found: FoundModel, declared: DeclaredSignature) -> tuple[str, ...]:
    """Names of the classes in the order of the model's outputs; none for a regression."""
    if not found.is_classifier:
        if declared.classes:
            raise ModelFileRejected("The model is a regression; it has no classes")
        return ()
    names = declared.classes or found.classes or tuple(str(number) for number in range(found.outputs))
    if len(names) != found.outputs or len(set(names)) != len(names):
        raise ModelFileRejected(f"The model has {found.outputs} classes, the signature names {len(names)}")
    return names


def golden_for(found: FoundModel, encoder: Encoder, samples: SampleRows) -> list[dict[str, JsonValue]]:
    """Sample rows first, then rows made up to cross the model's thresholds. Raises `InvalidInput` for a sample that does not fit."""
    encoder.encode_rows(samples)
    features = encoder.signature_features
    given = [{feature.name: row.get(feature.name) for feature in features} for row in samples[:GOLDEN_ROWS]]
    made_up = [
        {feature.name: _cell(feature, value) for feature, value in zip(features, row, strict=True)}
        for row in found.probes
        if len(row) == len(features)
    ]
    return [*given, *made_up][:GOLDEN_ROWS]


def _features(found: FoundModel, declared: DeclaredSignature, samples: SampleRows) -> tuple[DeclaredFeature, ...]:
    """One for each column, in the file's order."""
    given = declared.features
    if given and len(given) != found.width:
        raise ModelFileRejected(f"The model takes {found.width} columns, the signature names {len(given)} features")
    if given and found.names:
        by_name = {feature.name: feature for feature in given}
        unknown = [name for name in by_name if name not in set(found.names)]
        if unknown:
            raise ModelFileRejected(f"The file names its features itself and has none called {unknown[0][:80]!r}")
        return tuple(by_name[name] for name in found.names)
    if given:
        return given
    return tuple(
        DeclaredFeature(name=name, kind=_kind([row.get(name) for row in samples], name))
        for name in _names(found, samples)
    )


def _names(found: FoundModel, samples: SampleRows) -> tuple[str, ...]:
    keys = tuple(samples[0]) if samples else ()
    if found.names:
        if samples and set(keys) != set(found.names):
            odd = next(iter(set(keys) ^ set(found.names)))
            raise ModelFileRejected(f"Sample rows and the file differ in their features, for instance in {odd[:80]!r}")
        return found.names
    if samples and len(keys) != found.width:
        raise ModelFileRejected(f"The model takes {found.width} columns, the first sample row has {len(keys)}")
    return keys or tuple(f"f{number}" for number in range(found.width))


def _kind(values: Sequence[SampleValue], name: str) -> ColumnKind:
    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present):
        raise ModelFileRejected(
            f"{name[:80]!r} is text in the sample rows: declare it in the signature with its categories in the order of their codes"
        )
    return ColumnKind.BOOLEAN if present and all(isinstance(value, bool) for value in present) else ColumnKind.NUMBER


def _spec(found: FoundModel, feature: DeclaredFeature, samples: SampleRows) -> FeatureSpec:
    if feature.nullable and not found.nullable:
        raise ModelFileRejected(
            f"{feature.name[:80]!r} is declared nullable, but the model does not take missing values"
        )
    numbers = [float(value) for row in samples if isinstance(value := row.get(feature.name), int | float)]
    least, most = feature.minimum, feature.maximum
    return FeatureSpec(
        name=feature.name,
        kind=feature.kind,
        nullable=found.nullable if feature.nullable is None else feature.nullable,
        categories=feature.categories,
        minimum=min(numbers) if least is None and numbers else least,
        maximum=max(numbers) if most is None and numbers else most,
    )


def _output(feature: DeclaredFeature, step: InputStep) -> NumericOutput | CategoricalOutput:
    if feature.kind is ColumnKind.STRING:
        if step != _AS_IT_IS:
            raise ModelFileRejected(f"{feature.name[:80]!r} is scaled by the model, so it cannot be text")
        return CategoricalOutput(source=feature.name, mode="ordinal", categories=feature.categories)
    return NumericOutput(source=feature.name, fill=step.fill, shift=step.shift, scale=step.scale)


def _cell(feature: FeatureSpec, value: float | None) -> JsonValue:
    """A made-up number as a client would send it for this feature."""
    if value is None and feature.nullable:
        return None
    number = value or 0.0
    if feature.kind is ColumnKind.STRING:
        return feature.categories[int(abs(number)) % len(feature.categories)]
    return to_json(feature, number if feature.kind is ColumnKind.NUMBER else float(math.floor(number)))
