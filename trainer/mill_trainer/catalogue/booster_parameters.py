"""Parameters of XGBoost and LightGBM: bounds from a table, defaults and descriptions from the libraries themselves.

Both check their parameters in C++ and declare no bounds to Python; both write every setting down with a fitted model, which is
where the defaults come from.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateUsage=false

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import xgboost
from mill_contracts.algorithms import Form, Parameter
from mill_contracts.recipe import Task

from mill_trainer.catalogue.sklearn_parameters import first_sentences

_COUNT = Form(type="integer", minimum=1)
_NATURAL = Form(type="integer", minimum=0)
_POSITIVE = Form(type="number", exclusive_minimum=0)
_AT_LEAST_0 = Form(type="number", minimum=0)
_SHARE = Form(type="number", exclusive_minimum=0, maximum=1)
_UNIT = Form(type="number", minimum=0, maximum=1)
_FLAG = Form(type="boolean")
_ANY_NUMBER = Form(type="number")
_OPEN_UNIT = Form(type="number", exclusive_minimum=0, exclusive_maximum=1)


def _choice(*names: str) -> Form:
    return Form(type="string", enum=names)


def _xgboost_forms(task: Task) -> dict[str, Form]:
    shared = {
        "n_estimators": _COUNT,
        "max_depth": _NATURAL,
        "max_leaves": _NATURAL,
        "max_bin": Form(type="integer", minimum=2),
        "grow_policy": _choice("depthwise", "lossguide"),
        "learning_rate": _UNIT,
        "booster": _choice("gbtree", "dart"),
        "tree_method": _choice("auto", "exact", "approx", "hist"),
        "gamma": _AT_LEAST_0,
        "min_child_weight": _AT_LEAST_0,
        "max_delta_step": _AT_LEAST_0,
        "subsample": _SHARE,
        "colsample_bytree": _SHARE,
        "colsample_bylevel": _SHARE,
        "colsample_bynode": _SHARE,
        "reg_alpha": _AT_LEAST_0,
        "reg_lambda": _AT_LEAST_0,
        "scale_pos_weight": _POSITIVE,
        "base_score": _ANY_NUMBER,
        "num_parallel_tree": _COUNT,
    }
    if task is Task.CLASSIFICATION:
        return {**shared, "base_score": _OPEN_UNIT}
    names = ("squarederror", "squaredlogerror", "pseudohubererror", "absoluteerror", "gamma", "tweedie")
    objective = _choice(*(f"reg:{name}" for name in names), "count:poisson")
    return {
        **shared,
        "objective": objective,
        "tweedie_variance_power": Form(type="number", minimum=1, exclusive_maximum=2),
    }


def _lightgbm_forms(task: Task) -> dict[str, Form]:
    shared = {
        "boosting_type": _choice("gbdt", "dart", "rf"),
        "num_leaves": Form(type="integer", minimum=2, maximum=131_072),
        "max_depth": Form(type="integer", minimum=-1),
        "learning_rate": _POSITIVE,
        "n_estimators": _COUNT,
        "subsample_for_bin": _COUNT,
        "min_split_gain": _AT_LEAST_0,
        "min_child_weight": _AT_LEAST_0,
        "min_child_samples": _NATURAL,
        "subsample": _SHARE,
        "subsample_freq": _NATURAL,
        "colsample_bytree": _SHARE,
        "reg_alpha": _AT_LEAST_0,
        "reg_lambda": _AT_LEAST_0,
        "feature_fraction_bynode": _SHARE,
        "extra_trees": _FLAG,
        "max_delta_step": _ANY_NUMBER,
        "max_bin": Form(type="integer", minimum=2, maximum=65_535),
        "min_data_in_bin": _COUNT,
        "path_smooth": _AT_LEAST_0,
        "boost_from_average": _FLAG,
        "data_sample_strategy": _choice("bagging", "goss"),
        "top_rate": _UNIT,
        "other_rate": _UNIT,
        "drop_rate": _UNIT,
        "max_drop": Form(type="integer"),
        "skip_drop": _UNIT,
        "uniform_drop": _FLAG,
        "xgboost_dart_mode": _FLAG,
    }
    if task is Task.CLASSIFICATION:
        return {**shared, "scale_pos_weight": _POSITIVE, "is_unbalance": _FLAG}
    names = ("regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie")
    return {
        **shared,
        "objective": _choice(*names),
        "alpha": _POSITIVE,
        "fair_c": _POSITIVE,
        "poisson_max_delta_step": _POSITIVE,
        "tweedie_variance_power": Form(type="number", minimum=1, exclusive_maximum=2),
        "reg_sqrt": _FLAG,
    }


def xgboost_parameters(task: Task) -> dict[str, Parameter]:
    texts = first_sentences(xgboost.XGBRegressor.__doc__ or "")
    defaults = _xgboost_defaults()
    # An unset base score and scale are estimated or 1; the fitted model shows the estimate, not a default.
    return _parameters(_xgboost_forms(task), {**defaults, "base_score": None, "scale_pos_weight": 1.0}, texts)


def lightgbm_parameters(task: Task) -> dict[str, Parameter]:
    texts = first_sentences(inspect.cleandoc(lightgbm.LGBMModel.__init__.__doc__ or ""))
    signature = inspect.signature(lightgbm.LGBMModel.__init__).parameters
    defaults = _lightgbm_defaults() | {name: one.default for name, one in signature.items() if name != "self"}
    parameters = _parameters(_lightgbm_forms(task), defaults, texts)
    balanced = (Form(type="null"), _choice("balanced"), Form(type="object", additional_properties=_AT_LEAST_0))
    if task is Task.CLASSIFICATION:
        parameters["class_weight"] = Parameter(description="Weights of the classes by label", any_of=balanced)
    return parameters


def xgboost_aliases() -> dict[str, str]:
    return {
        "eta": "learning_rate",
        "alpha": "reg_alpha",
        "lambda": "reg_lambda",
        "min_split_loss": "gamma",
        "num_boost_round": "n_estimators",
    }


def lightgbm_aliases(names: Mapping[str, Parameter]) -> dict[str, str]:
    """Every other name LightGBM itself knows one of our parameters by."""
    groups = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    aliases: dict[str, str] = {}
    for group in groups.values():
        for name in (name for name in group if name in names):
            aliases.update({alias: name for alias in group if alias != name})
    return dict(sorted(aliases.items()))


def _parameters(
    forms: Mapping[str, Form], defaults: Mapping[str, Any], texts: Mapping[str, str]
) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for name, form in forms.items():
        default = _typed(form, defaults.get(name))
        accepted = (form, Form(type="null")) if default is None else (form,)
        found[name] = Parameter(description=texts.get(name, ""), default=default, any_of=accepted)
    return found


def _typed(form: Form, default: Any) -> Any:
    """A default from a library's text as JSON has it; float32 noise (0.300000012) rounded away."""
    if default is None or not isinstance(default, str):
        return default
    if form.type == "boolean":
        return default not in ("0", "false")
    if form.type == "integer":
        return int(default)
    return round(float(default), 6) if form.type == "number" else default


def _xgboost_defaults() -> dict[str, Any]:
    model = xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit(*_tiny_table())
    learner = json.loads(model.get_booster().save_config())["learner"]
    trees = learner["gradient_booster"]
    return {
        **learner["learner_train_param"],
        **trees["tree_train_param"],
        **trees["gbtree_train_param"],
        "num_parallel_tree": trees["gbtree_model_param"]["num_parallel_tree"],
        "n_estimators": xgboost.XGBRegressor().get_num_boosting_rounds(),
        "tweedie_variance_power": "1.5",
    }


def _lightgbm_defaults() -> dict[str, Any]:
    model = lightgbm.LGBMRegressor(n_estimators=1, n_jobs=1, verbosity=-1).fit(*_tiny_table())
    return dict(re.findall(r"^\[(\w+): (.*)\]$", model.booster_.model_to_string(), flags=re.MULTILINE))


def _tiny_table() -> tuple[Any, Any]:
    numbers = np.arange(100, dtype=np.float64)
    return numbers.reshape(-1, 1), numbers
