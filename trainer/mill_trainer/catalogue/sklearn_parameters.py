"""scikit-learn's parameters, from the constraints each estimator declares for its own checks."""

# `_parameter_constraints` is private, but it is what the estimators check with; the staleness test notices a change of shape.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateUsage=false

import inspect
import re
from collections.abc import Callable
from numbers import Integral
from typing import Any

from mill_contracts.algorithms import Form, Parameter
from sklearn.utils._param_validation import Hidden, Interval, StrOptions, make_constraint

# Metrics of nearest neighbours that need no extra matrix, no coordinates and no Python function.
_PLAIN_METRICS = ("chebyshev", "cityblock", "cosine", "euclidean", "l1", "l2", "manhattan", "minkowski")


def sklearn_parameters(estimator: Callable[..., Any], excluded: set[str]) -> dict[str, Parameter]:
    """Every parameter of the class that is not excluded, in the order of its signature."""
    constraints: dict[str, list[Any]] = getattr(estimator, "_parameter_constraints")  # noqa: B009 - private by name
    descriptions = first_sentences(estimator.__doc__ or "")
    found: dict[str, Parameter] = {}
    for name, parameter in inspect.signature(estimator).parameters.items():
        forms = tuple(_forms(name, constraints[name])) if name not in excluded else ()
        if forms:
            default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            found[name] = Parameter(description=descriptions.get(name, ""), default=default, any_of=forms)
    return found


def first_sentences(docstring: str) -> dict[str, str]:
    """Parameter → first sentence, from a numpy-style docstring with any indentation and blank lines."""
    section = inspect.cleandoc(docstring).partition("Parameters\n")[2].partition("\nAttributes\n")[0]
    sentences: dict[str, str] = {}
    lines = section.splitlines()
    for index, line in enumerate(lines):
        name, colon, _ = line.partition(":")
        if not colon or not name.strip().isidentifier() or name.strip() in sentences:
            continue
        indent = len(line) - len(line.lstrip())
        sentences[name.strip()] = _first_sentence(lines[index + 1 :], indent)
    return {name: text for name, text in sentences.items() if text}


def _first_sentence(lines: list[str], indent: int) -> str:
    words: list[str] = []
    for line in lines:
        text = line.strip()
        if text and len(line) - len(line.lstrip()) <= indent:
            break
        if not text and words:
            break
        if not text.startswith(".. "):
            words.append(text)
    joined = re.sub(r":\w+:`([^`<]*?)\s*(<[^`]*>)?`", r"\1", " ".join(" ".join(words).split()).replace("``", "`"))
    head = re.split(r"(?<!\ba\.k\.a)(?<!\bi\.e)(?<!\be\.g)\. ", joined, maxsplit=1)[0]
    return head.rstrip(".:") if len(head) <= 160 and not head.startswith("-") else ""


def _forms(name: str, constraints: list[Any]) -> list[Form]:
    forms: list[Form] = []
    for raw in constraints:
        form = None if isinstance(raw, Hidden) else _form(name, raw)
        if form is not None:
            forms.append(form)
    return forms


def _form(name: str, raw: Any) -> Form | None:
    if raw is None:
        return None if name in ("n_neighbors", "p") else Form(type="null")  # declared there, but `predict` refuses it
    if raw == "boolean":
        return Form(type="boolean")
    if raw == "array-like":
        layers = Form(type="array", items=Form(type="integer", minimum=1), max_items=16)
        return layers if name == "hidden_layer_sizes" else None
    if raw is dict:
        return (
            Form(type="object", additional_properties=Form(type="number", minimum=0))
            if name == "class_weight"
            else None
        )
    if not isinstance(raw, Interval | StrOptions):
        return None
    constraint = make_constraint(raw)
    if isinstance(constraint, StrOptions):
        allowed = set(_PLAIN_METRICS) if name == "metric" else set(constraint.options)
        return Form(type="string", enum=tuple(sorted(allowed & set(constraint.options))))
    return _interval(constraint)


def _interval(interval: Any) -> Form:
    def bound(value: Any) -> float | None:
        return None if value is None or abs(value) == float("inf") else float(value)

    low, high = bound(interval.left), bound(interval.right)
    closed_low, closed_high = interval.closed in ("left", "both"), interval.closed in ("right", "both")
    return Form(
        type="integer" if interval.type is Integral else "number",
        minimum=low if closed_low else None,
        exclusive_minimum=None if closed_low else low,
        maximum=high if closed_high else None,
        exclusive_maximum=None if closed_high else high,
    )
