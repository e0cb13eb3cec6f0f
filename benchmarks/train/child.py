# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn and the estimators are partly typed; nothing of them leaves this file.
"""The bare script: the trainer's matrix, the library's own `fit`. A task as JSON on standard input, figures on standard output."""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any, cast

from mill_contracts.algorithms import catalogue
from mill_contracts.recipe import Recipe
from mill_contracts.tasks import Limits
from mill_trainer import limits


def main() -> None:
    task: dict[str, Any] = json.load(sys.stdin)
    allowed = Limits()
    limits.apply(allowed)  # before the libraries are imported: they size their thread pools then
    from mill_trainer.train.estimators import Probabilistic, construct, family
    from mill_trainer.train.features import choose_features
    from mill_trainer.train.fitting import Fitting
    from mill_trainer.train.preparation import prepare, style_of
    from mill_trainer.train.splitting import split_holdout
    from mill_trainer.train.table import read_table
    from mill_trainer.train.target import read_target
    from sklearn.metrics import roc_auc_score
    from threadpoolctl import threadpool_limits

    recipe = Recipe.model_validate(task["recipe"])
    algorithm = catalogue().algorithm(recipe.framework, recipe.task, recipe.algorithm)
    chosen = family(algorithm.framework, algorithm.name)
    with threadpool_limits(limits=allowed.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = read_table(Path(task["file"]))
        target = read_target(table, recipe)
        split = split_holdout(table, target, recipe)
        features, _ = choose_features(table, recipe)
        prepared = prepare(table, split.training, features, recipe, style_of(chosen))
        fitting = Fitting.of(chosen, algorithm, recipe.parameters, target.classes, recipe.seed, allowed.threads)
        model = construct(chosen, recipe.task, fitting.parameters, recipe.seed, allowed.threads)
        y = target.y[split.training]
        begun = time.perf_counter()
        model.fit(prepared.matrix, y)
        seconds = time.perf_counter() - begun
        matrix = prepared.encoder.transform(table.take(split.holdout).columns)
        found = cast(Probabilistic, model).predict_proba(matrix)[:, 1]
        quality = float(roc_auc_score(target.y[split.holdout], found))
    json.dump({"fit_seconds": seconds, "roc_auc": quality, "width": prepared.matrix.shape[1]}, sys.stdout)


if __name__ == "__main__":
    main()
