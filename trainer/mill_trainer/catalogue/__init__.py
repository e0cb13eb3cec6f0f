"""Generates `mill_contracts/algorithms.json` from the installed libraries; run by developers, checked by a test."""

from collections.abc import Container
from importlib.metadata import version
from inspect import signature

from mill_contracts.algorithms import Algorithm, Catalogue, Parameter
from mill_contracts.recipe import Framework, Task

from mill_trainer.catalogue.booster_parameters import (
    lightgbm_aliases,
    lightgbm_parameters,
    xgboost_aliases,
    xgboost_parameters,
)
from mill_trainer.catalogue.managed import managed
from mill_trainer.catalogue.maxima import bounded
from mill_trainer.catalogue.sklearn_parameters import sklearn_parameters
from mill_trainer.train.estimators import Family, families


def generate() -> Catalogue:
    """The catalogue of the installed libraries."""
    algorithms = [_algorithm(family, task) for family in families() for task in Task if family.class_for(task)]
    libraries = {name: version(name) for name in ("scikit-learn", "xgboost-cpu", "lightgbm")}
    return Catalogue(libraries=libraries, algorithms=tuple(algorithms))


def render(catalogue: Catalogue) -> str:
    """One algorithm a line: compact, and a change shows in a diff."""
    head = f'{{"libraries":{_json(catalogue.libraries)},"algorithms":[\n'
    lines = [one.model_dump_json(by_alias=True, exclude_defaults=True) for one in catalogue.algorithms]
    return head + ",\n".join(lines) + "\n]}\n"


def _json(mapping: dict[str, str]) -> str:
    return "{" + ",".join(f'"{key}":"{value}"' for key, value in mapping.items()) + "}"


def _algorithm(family: Family, task: Task) -> Algorithm:
    reasons = managed(family.framework, task, family.name)
    if family.framework is Framework.SKLEARN:
        reasons = {name: reason for name, reason in reasons.items() if name in _signature(family, task)}
    found = _parameters(family, task, set(reasons))
    parameters = {name: bounded(family.name, name, parameter) for name, parameter in found.items()}
    presets = dict(family.presets)
    for name, value in presets.items():
        ours = parameters[name]
        text = f"{ours.description} (Modelmill's default; the library's is {ours.default})"
        parameters[name] = ours.model_copy(update={"default": value, "description": text})
    return Algorithm(
        framework=family.framework,
        task=task,
        name=family.name,
        title=family.title,
        also_named=family.also_named,
        is_default=family.is_default,
        presets=presets,
        parameters=parameters,
        aliases=_aliases(family, parameters, set(reasons)),
        managed=reasons,
    )


def _parameters(family: Family, task: Task, excluded: set[str]) -> dict[str, Parameter]:
    match family.framework:
        case Framework.XGBOOST:
            return xgboost_parameters(task)
        case Framework.LIGHTGBM:
            return lightgbm_parameters(task)
        case Framework.SKLEARN:
            estimator = family.class_for(task)
            return sklearn_parameters(estimator, excluded) if estimator else {}


def _signature(family: Family, task: Task) -> Container[str]:
    estimator = family.class_for(task)
    return signature(estimator).parameters if estimator else {}


def _aliases(family: Family, parameters: dict[str, Parameter], excluded: set[str]) -> dict[str, str]:
    match family.framework:
        case Framework.XGBOOST:
            aliases = xgboost_aliases()
        case Framework.LIGHTGBM:
            aliases = lightgbm_aliases(parameters)
        case Framework.SKLEARN:
            aliases = {}
    return {alias: name for alias, name in aliases.items() if alias not in parameters and alias not in excluded}
