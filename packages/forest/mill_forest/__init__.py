"""Tree ensembles as validated arrays: read a library's own format, check it, predict with the library's exact bits.

Used by `mill_pack` alone. Nothing here imports an ML library or runs anything found in a file.
"""

from mill_forest.errors import ForestError, InvalidForest, UnsupportedForest
from mill_forest.fileformat import from_bytes, load, save, to_bytes
from mill_forest.model import Aggregation, CategoryRule, Compare, Forest, Library, Link, Task
from mill_forest.predict import Predictor
from mill_forest.protobuf import Message
from mill_forest.read_lightgbm import read_lightgbm
from mill_forest.read_onnx import read_onnx_classifier, read_onnx_regressor
from mill_forest.read_sklearn import from_sklearn
from mill_forest.read_xgboost import read_xgboost
from mill_forest.validate import validate

__all__ = [
    "Aggregation",
    "CategoryRule",
    "Compare",
    "Forest",
    "ForestError",
    "InvalidForest",
    "Library",
    "Link",
    "Message",
    "Predictor",
    "Task",
    "UnsupportedForest",
    "from_bytes",
    "from_sklearn",
    "load",
    "read_lightgbm",
    "read_onnx_classifier",
    "read_onnx_regressor",
    "read_xgboost",
    "save",
    "to_bytes",
    "validate",
]
