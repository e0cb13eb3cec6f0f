"""Parameters the libraries have and a recipe may not set, each with the reason a user is told.

They would run code, touch files or threads, speak of encoded columns, or take a decision the platform takes.
"""

from collections.abc import Mapping
from types import MappingProxyType

_SEED = "the recipe's `seed` sets it"
_THREADS = "the trainer's limits set the threads"
_ENCODED = "it speaks of encoded columns, which are the encoder's own"
_LOGS = "the trainer reports progress itself"
_ONE_FIT = "a training is one fit"
_CODE = "it would run code"
_NOTHING = "it changes nothing about the model"
_SMALL = "a training holds no validation rows back from the fit; set the number of rounds"
_CLASSES = "it follows from the number of classes"
_IMPORTANCE = "the report gives the gain of each input"
_CPU = "training runs on the CPU"
_CATEGORIES = "the encoder turns categories into numbers (`preprocessing.categories`)"

_SKLEARN: Mapping[str, str] = MappingProxyType(
    {
        "random_state": _SEED,
        "n_jobs": _THREADS,
        "verbose": _LOGS,
        "warm_start": _ONE_FIT,
        "copy_X": _NOTHING,
        "oob_score": _NOTHING,
        "monotonic_cst": _ENCODED,
        "interaction_cst": _ENCODED,
        "categorical_features": _CATEGORIES,
        "scoring": _CODE,
        "metric_params": _CODE,
        "penalty": "scikit-learn replaced it: `l1_ratio` 0 is L2, 1 is L1, between is elastic net; a large `C` is no penalty",
    }
)
_XGBOOST: Mapping[str, str] = MappingProxyType(
    {
        "random_state": _SEED,
        "seed": _SEED,
        "n_jobs": _THREADS,
        "nthread": _THREADS,
        "verbosity": _LOGS,
        "missing": "missing values are the encoder's",
        "monotone_constraints": _ENCODED,
        "interaction_constraints": _ENCODED,
        "feature_types": _ENCODED,
        "feature_weights": _ENCODED,
        "importance_type": _IMPORTANCE,
        "device": _CPU,
        "sampling_method": _CPU,
        "validate_parameters": "parameters are always checked",
        "enable_categorical": _CATEGORIES,
        "max_cat_to_onehot": _CATEGORIES,
        "max_cat_threshold": _CATEGORIES,
        "multi_strategy": "a model has one target",
        "eval_metric": _SMALL,
        "early_stopping_rounds": _SMALL,
        "callbacks": _CODE,
        "kwargs": _CODE,
    }
)
_LIGHTGBM: Mapping[str, str] = MappingProxyType(
    {
        "random_state": _SEED,
        "seed": _SEED,
        "n_jobs": _THREADS,
        "num_threads": _THREADS,
        "verbose": _LOGS,
        "verbosity": _LOGS,
        "importance_type": _IMPORTANCE,
        "early_stopping_round": _SMALL,
        "early_stopping_rounds": _SMALL,
        "early_stopping": _SMALL,
        "metric": _SMALL,
        "callbacks": _CODE,
        "device": _CPU,
        "device_type": _CPU,
        "categorical_feature": _CATEGORIES,
        "monotone_constraints": _ENCODED,
        "interaction_constraints": _ENCODED,
        "num_class": _CLASSES,
        "deterministic": "trainings are always deterministic",
        "linear_tree": "packages hold trees with constant leaves",
        "kwargs": _CODE,
    }
)


def managed(framework: str, task: str, algorithm: str) -> dict[str, str]:
    """Name of the parameter → why it cannot be set."""
    table = {"scikit-learn": _SKLEARN, "xgboost": _XGBOOST, "lightgbm": _LIGHTGBM}[framework]
    reasons = dict(table)
    if framework != "scikit-learn" and task == "classification":
        reasons["objective"] = _CLASSES
    if algorithm == "mlp":
        reasons["loss"] = "networks are served with the squared error's identity output"
    return reasons
