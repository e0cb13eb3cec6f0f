"""Model files from outside, taken apart into arrays of our own. Called in the trainer's sandbox, and nowhere else.

`identify` says what a file is, `read_outside` what is in it; `encoder_for`, `classes_for` and `golden_for` make of that, outside the
sandbox, what a package needs.
Nothing of the file itself is kept.
"""

from mill_contracts.adoption import ModelFileFormat, ModelFramework

from mill_pack.outside.errors import CodeInModelFile, ModelFileRejected
from mill_pack.outside.found import Found, FoundModel, InputStep
from mill_pack.outside.identify import identify
from mill_pack.outside.signature import classes_for, encoder_for, golden_for

__all__ = [
    "CodeInModelFile",
    "Found",
    "FoundModel",
    "InputStep",
    "ModelFileRejected",
    "classes_for",
    "encoder_for",
    "golden_for",
    "identify",
    "read_outside",
]

_FRAMEWORKS = {
    ModelFileFormat.XGBOOST_JSON: ModelFramework.XGBOOST,
    ModelFileFormat.XGBOOST_UBJ: ModelFramework.XGBOOST,
    ModelFileFormat.LIGHTGBM_TEXT: ModelFramework.LIGHTGBM,
    ModelFileFormat.ONNX: ModelFramework.ONNX,
    ModelFileFormat.SKOPS: ModelFramework.SKLEARN,
}


def read_outside(data: bytes, framework: ModelFramework) -> Found:
    """What the file holds, checked and in our own arrays. Raises `CodeInModelFile`, `ModelFileRejected`."""
    kind = identify(data)
    if _FRAMEWORKS[kind] is not framework:
        raise ModelFileRejected(f"The file is {kind.value} by its content, not a model of {framework.value}")
    if kind is ModelFileFormat.ONNX:
        from mill_pack.outside.onnx import read_onnx

        return read_onnx(data)
    if kind is ModelFileFormat.SKOPS:
        from mill_pack.outside.skops import read_skops

        return read_skops(data)
    from mill_pack.outside.boosters import read_booster

    return read_booster(data, kind)
