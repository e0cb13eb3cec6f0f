"""One training from the first byte to the report: the worker's `train` verb. Everything it decides stands in a module of its own."""

import platform
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from mill_contracts import algorithms
from mill_contracts.algorithms import Algorithm, catalogue
from mill_contracts.recipe import Recipe, Task
from mill_contracts.tables import TableWarning
from mill_contracts.tasks import TrainTask
from mill_contracts.training import FeatureImportance
from threadpoolctl import threadpool_limits

from mill_trainer.reporting import Report
from mill_trainer.train.decisions import Classes
from mill_trainer.train.errors import InvalidParameters, UnknownAlgorithm
from mill_trainer.train.estimators import Family, family
from mill_trainer.train.evaluation import Evaluation, Evaluator
from mill_trainer.train.features import choose_features
from mill_trainer.train.fitting import Fitted, Fitting, fit
from mill_trainer.train.importance import importance, sample_rows
from mill_trainer.train.packing import Trained, pack
from mill_trainer.train.preparation import Prepared, prepare, style_of
from mill_trainer.train.progress import EVALUATED, FITTED, PREPARED, READ, TrainingProgress
from mill_trainer.train.splitting import Split, fold_count, folds, split_holdout
from mill_trainer.train.table import Table, has_infinity, read_table
from mill_trainer.train.target import Target, read_target

MODEL_FILE = "model.mill"
REPORT_FILE = "report.json"


def train(task: TrainTask, report: Report) -> None:
    """Write `model.mill` and `report.json` (a `TrainingReport`) into `task.out_dir`.

    Raises the problems of `mill_trainer.train.errors` and of `mill_pack.errors`; nothing is written then.
    """
    algorithm = check_recipe(task.recipe)
    with threadpool_limits(limits=task.limits.threads):
        _train(task, report, algorithm)


def _train(task: TrainTask, report: Report, algorithm: Algorithm) -> None:
    report.stage("reading")
    data = _read(task)
    report.progress(READ)
    for warning in data.warnings:
        report.log(f"{warning.column}: {warning.detail}" if warning.column else warning.detail, "warning")
    trained = _Training(task, report, algorithm, data).run()
    report.stage("packing")
    result = pack(task, trained, task.out_dir / MODEL_FILE)
    (task.out_dir / REPORT_FILE).write_text(result.model_dump_json(), "utf-8")
    report.progress(1.0)


def check_recipe(recipe: Recipe) -> Algorithm:
    """The catalogue's word on the recipe, before any data is read."""
    try:
        algorithm = catalogue().algorithm(recipe.framework, recipe.task, recipe.algorithm)
    except algorithms.UnknownAlgorithm as unknown:
        detail = str(unknown)
        raise UnknownAlgorithm(detail, errors=[{"pointer": "/algorithm", "detail": detail}]) from unknown
    wrong = algorithm.check(recipe.parameters)
    if wrong:
        errors = [problem.model_dump(exclude_none=True) for problem in wrong]
        raise InvalidParameters("; ".join(problem.detail for problem in wrong)[:1000], errors=errors)
    return algorithm


@dataclass(frozen=True)
class _Data:
    """The rows that have a target, what is learnt from them, and how they are parted."""

    table: Table
    target: Target
    features: tuple[str, ...]
    split: Split
    warnings: tuple[TableWarning, ...]


def _read(task: TrainTask) -> _Data:
    whole = read_table(task.data_file)
    target = read_target(whole, task.recipe)
    table = whole if len(target.rows) == whole.rows else whole.take(target.rows)
    features, warnings = choose_features(table, task.recipe)
    split = split_holdout(table, target, task.recipe)
    # A column left out for its infinite values must not reach the encoder, not even as an input of a derived feature.
    finite = tuple(name for name, column in table.columns.items() if not has_infinity(column))
    return _Data(table.only(finite), target, features, split, target.warnings + warnings)


class _Training:
    """The fits of one training; `run` gives all that the package and the report are made from."""

    def __init__(self, task: TrainTask, report: Report, algorithm: Algorithm, data: _Data) -> None:
        recipe = task.recipe
        self.recipe = recipe
        self.report = report
        self.data = data
        self.family: Family = family(algorithm.framework, algorithm.name)
        self.folds = fold_count(recipe.validation)
        self.progress = TrainingProgress(report, self.folds + 1)
        self.fitting = Fitting.of(
            self.family, algorithm, recipe.parameters, data.target.classes, recipe.seed, task.limits.threads
        )
        self.classes = Classes.of(data.target.classes, recipe) if recipe.task is Task.CLASSIFICATION else None
        self.evaluator = Evaluator(self.family, self.classes)

    def run(self) -> Trained:
        prepared = self._prepare(self.data.split)
        across = self._cross_validate()
        fitted, seconds = self._fit(prepared)
        self.report.stage("evaluating")
        evaluation, ranked, method = self._evaluate(prepared, fitted)
        self.report.progress(EVALUATED)
        return Trained(
            family=self.family,
            estimator=fitted.estimator,
            encoder=prepared.encoder,
            target=self.data.target,
            classes=self.classes,
            training=self.data.table.take(self.data.split.training),
            holdout=self.data.table.take(self.data.split.holdout),
            evaluator=self.evaluator,
            evaluation=evaluation,
            importance=ranked,
            importance_method=method,
            cross_validation=across,
            fit_seconds=seconds,
            warnings=self.data.warnings + fitted.warnings,
            lineage=self._lineage(),
        )

    def _prepare(self, split: Split) -> Prepared:
        self.report.stage("encoding")
        style = style_of(self.family)
        prepared = prepare(self.data.table, split.training, self.data.features, self.recipe, style)
        self.report.progress(PREPARED)
        self.report.log(f"{len(split.training)} training rows, {prepared.encoder.width} encoded columns")
        return prepared

    def _cross_validate(self) -> dict[str, tuple[float, ...]]:
        if not self.folds:
            return {}
        self.report.stage("cross-validating")
        found: defaultdict[str, list[float]] = defaultdict(list)
        for index, fold in enumerate(folds(self.data.split, self.data.target, self.recipe)):
            style = style_of(self.family)
            prepared = prepare(self.data.table, fold.training, self.data.features, self.recipe, style)
            fitted = fit(self.fitting, prepared.matrix, self.data.target.y[fold.training], self.progress.fit(index))
            matrix = prepared.encoder.transform(self.data.table.take(fold.holdout).columns)
            measured = self.evaluator.metrics(fitted.estimator, matrix, self.data.target.y[fold.holdout])
            for name, value in measured.items():
                found[name].append(value)
            self.progress.fit_done(index)
        return {name: tuple(values) for name, values in found.items()}

    def _fit(self, prepared: Prepared) -> tuple[Fitted, float]:
        self.report.stage("fitting")
        started = time.perf_counter()
        y = self.data.target.y[self.data.split.training]
        fitted = fit(self.fitting, prepared.matrix, y, self.progress.fit(self.folds))
        seconds = time.perf_counter() - started
        self.report.progress(FITTED)
        self.report.log(f"{self.family.title} fitted in {seconds:.2f} s")
        for warning in fitted.warnings:
            self.report.log(warning.detail, "warning")
        return fitted, seconds

    def _evaluate(
        self, prepared: Prepared, fitted: Fitted
    ) -> tuple[Evaluation, tuple[FeatureImportance, ...], str | None]:
        rows = self.data.split.holdout
        y = self.data.target.y[rows]
        holdout = self.data.table.take(rows)
        evaluation = self.evaluator.evaluate(fitted.estimator, prepared.encoder.transform(holdout.columns), y)
        chosen = sample_rows(len(rows))
        error = self.evaluator.error(fitted.estimator, y[chosen])
        sample = holdout.take(chosen)
        ranked, method = importance(self.family, fitted.estimator, prepared.encoder, sample, error, self.recipe.seed)
        return evaluation, ranked, method

    def _lineage(self) -> Mapping[str, Any]:
        libraries = ("mill-trainer", "mill-pack", "numpy", "scikit-learn", "xgboost-cpu", "lightgbm")
        return {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": {name: version(name) for name in libraries},
            "parameters": dict(self.fitting.parameters),
            "threads": self.fitting.threads,
        }
