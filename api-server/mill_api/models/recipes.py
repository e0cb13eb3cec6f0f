"""From what a user wished to what will be trained. Pure: a wish and a dataset's columns in, a recipe or a refusal out.

Called when the model is asked for, and again by the training job where the dataset was still being profiled then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mill_contracts.algorithms import Algorithm, UnknownAlgorithm, catalogue
from mill_contracts.recipe import Preprocessing, Recipe, Task, Validation
from mill_contracts.tables import ColumnKind, ColumnStatistics

from mill_api.models import errors
from mill_api.models.recipe_checks import check_feasible
from mill_api.models.schemas import ModelWish

_TELLING_NAMES = ("target", "label", "class")
_NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN)


@dataclass(frozen=True)
class Choice:
    """The target column and, for people, why it is the target."""

    target: str
    reason: str


def chosen_algorithm(wish: ModelWish) -> Algorithm:
    """Raises `UnknownAlgorithm`, `InvalidParameters`; each names the closest valid one."""
    try:
        algorithm = catalogue().algorithm(wish.framework, wish.model_type, wish.algorithm)
    except UnknownAlgorithm as error:
        raise errors.UnknownAlgorithm(str(error), errors=[{"pointer": "/algorithm", "detail": str(error)}]) from None
    problems = algorithm.check(wish.parameters)
    if problems:
        raise errors.InvalidParameters(
            "; ".join(problem.detail for problem in problems),
            errors=[problem.model_dump(exclude_none=True) for problem in problems],
        )
    return algorithm


def make_recipe(wish: ModelWish, columns: Sequence[ColumnStatistics]) -> tuple[Recipe, Choice]:
    """The recipe for a table of these columns. Raises `UnknownColumn`, `UnsuitableTarget`, what
    `chosen_algorithm` raises and what `recipe_checks` knows to fail.
    """
    algorithm = chosen_algorithm(wish)
    choice = choose_target(wish.target, [column.name for column in columns])
    _check_columns(wish, [column.name for column in columns])
    target = next(column for column in columns if column.name == choice.target)
    _check_target(wish, target)
    check_feasible(wish, target, columns)
    recipe = Recipe(
        task=wish.model_type,
        framework=wish.framework,
        algorithm=algorithm.name,
        target=choice.target,
        features=None if wish.features is None else tuple(wish.features),
        exclude=tuple(wish.exclude),
        parameters=wish.parameters,
        validation=wish.validation or Validation(),
        preprocessing=wish.preprocessing or Preprocessing(),
        class_labels=wish.class_labels,
        positive_class=wish.positive_class,
        decision_threshold=wish.decision_threshold,
        low_confidence=wish.low_confidence,
        seed=wish.seed,
    )
    return recipe, choice


def choose_target(wished: str | None, names: Sequence[str]) -> Choice:
    """The wished column, else the one named target, label or class, else the last. Raises `UnknownColumn`."""
    if wished is not None:
        if wished not in names:
            raise _unknown("/target", wished, names)
        return Choice(wished, "as asked")
    for telling in _TELLING_NAMES:
        for name in names:
            if name.lower() == telling:
                return Choice(name, f'the column named "{name}"')
    return Choice(names[-1], "the last column, as none is named target, label or class")


def _check_columns(wish: ModelWish, names: Sequence[str]) -> None:
    for field, given in (("features", wish.features or []), ("exclude", wish.exclude)):
        for index, name in enumerate(given):
            if name not in names:
                raise _unknown(f"/{field}/{index}", name, names)
    time_column = wish.validation.time_column if wish.validation else None
    if time_column is not None and time_column not in names:
        raise _unknown("/validation/time_column", time_column, names)


def _check_target(wish: ModelWish, target: ColumnStatistics) -> None:
    if target.name in (wish.features or []):
        raise _unsuitable(f'"{target.name}" is the target, so it cannot be a feature too', "/features")
    if target.kind is ColumnKind.EMPTY:
        raise _unsuitable(f'every value of "{target.name}" is missing')
    if target.distinct <= 1:
        raise _unsuitable(f'"{target.name}" has one value only, so there is nothing to learn')
    if wish.model_type is Task.REGRESSION and target.kind not in _NUMERIC:
        raise _unsuitable(
            f'"{target.name}" holds {target.kind}s; a regression needs numbers (or ask for a classification)'
        )


def _unsuitable(detail: str, pointer: str = "/target") -> errors.UnsuitableTarget:
    return errors.UnsuitableTarget(detail, errors=[{"pointer": pointer, "detail": detail}])


def _unknown(pointer: str, name: str, names: Sequence[str]) -> errors.UnknownColumn:
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f'did you mean "{close[0]}"?' if close else f"it has {', '.join(names[:20])}"
    detail = f'the dataset has no column "{name}"; {hint}'
    problem: dict[str, Any] = {"pointer": pointer, "detail": detail}
    return errors.UnknownColumn(detail, errors=[problem])
