"""The most each whole number of a recipe may be. No library sets an end, and one absurd count would hold the queue for hours.

Generous: far beyond what helps a model, so that a slip of the finger is refused and an unusual wish is not. `catalogue` applies them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from mill_contracts.algorithms import Form, Parameter

_ROWS = 1_000_000_000
"""What counts rows ends with the table anyway; this keeps it within the 32 bits the libraries count with."""
_ROUNDS = 100_000
_STEPS = 1_000_000

_MAXIMA: Mapping[str, int] = MappingProxyType(
    {
        "n_estimators": _ROUNDS,
        "num_parallel_tree": 1_000,
        "max_drop": _ROUNDS,
        "max_iter": _STEPS,
        "max_fun": _STEPS,
        "n_iter_no_change": _STEPS,
        "max_depth": 1_000,
        "max_leaves": 1_000_000,
        "max_leaf_nodes": 1_000_000,
        "max_bin": 65_535,
        "max_features": 1_000_000,
        "hidden_layer_sizes": 10_000,
        "batch_size": 1_000_000,
        "n_neighbors": 1_000_000,
        "leaf_size": 1_000_000,
        "subsample_freq": _ROUNDS,
    }
)


def bounded(algorithm: str, name: str, parameter: Parameter) -> Parameter:
    """The parameter with an end to every whole number it takes; an end the library sets itself stays."""
    # Of histogram boosting `max_iter` is the number of trees.
    most = _ROUNDS if (algorithm, name) == ("hist_gradient_boosting", "max_iter") else _MAXIMA.get(name, _ROWS)
    return parameter.model_copy(update={"any_of": tuple(_bounded(form, most) for form in parameter.any_of)})


def _bounded(form: Form, most: int) -> Form:
    if form.type == "array" and form.items is not None:
        return form.model_copy(update={"items": _bounded(form.items, most)})
    has_end = form.maximum is not None or form.exclusive_maximum is not None
    return form if form.type != "integer" or has_end else form.model_copy(update={"maximum": float(most)})
