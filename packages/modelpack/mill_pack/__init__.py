"""The model package: the trainer writes it, ml-service and batch scoring open it; nobody else knows a file name inside.

Importing this loads numpy and pydantic only; each ML library is imported when its engine is used.
"""

from mill_pack.arrays import Columns, FloatArray
from mill_pack.encoding import Encoded, Encoder, EncoderDocument, EncodingStyle, fit_encoder
from mill_pack.engines import (
    Engine,
    EngineKind,
    EnginePayload,
    build_engine,
    check_engine,
    choose_engine,
    engine_kinds,
    linear_payload,
    passes,
)
from mill_pack.errors import (
    EngineMissing,
    EngineRefused,
    ExplainUnsupported,
    GoldenRowsDiffer,
    InvalidExpression,
    InvalidInput,
    InvalidPackage,
    InvalidPreprocessing,
)
from mill_pack.explanation import Explanations
from mill_pack.manifest import UPLOADED, FeatureReference, GoldenRows, Manifest, ManifestDraft, Postprocessing
from mill_pack.outcome import Prediction, Predictions
from mill_pack.package import Package, unseen_warnings
from mill_pack.packing import (
    PackageInfo,
    engine_of,
    load_here,
    measure_cost,
    open_package,
    package_bytes,
    package_of,
    write_package,
)
from mill_pack.samples import golden_rows, reference_profile, synthetic_golden_rows, to_json
from mill_pack.signature import FeatureSpec, Signature

__all__ = [
    "UPLOADED",
    "Columns",
    "Encoded",
    "Encoder",
    "EncoderDocument",
    "EncodingStyle",
    "Engine",
    "EngineKind",
    "EngineMissing",
    "EnginePayload",
    "EngineRefused",
    "ExplainUnsupported",
    "Explanations",
    "FeatureReference",
    "FeatureSpec",
    "FloatArray",
    "GoldenRows",
    "GoldenRowsDiffer",
    "InvalidExpression",
    "InvalidInput",
    "InvalidPackage",
    "InvalidPreprocessing",
    "Manifest",
    "ManifestDraft",
    "Package",
    "PackageInfo",
    "Postprocessing",
    "Prediction",
    "Predictions",
    "Signature",
    "build_engine",
    "check_engine",
    "choose_engine",
    "engine_kinds",
    "engine_of",
    "fit_encoder",
    "golden_rows",
    "linear_payload",
    "load_here",
    "measure_cost",
    "open_package",
    "package_bytes",
    "package_of",
    "passes",
    "reference_profile",
    "synthetic_golden_rows",
    "to_json",
    "unseen_warnings",
    "write_package",
]
