"""What the statistics of a dataset already tell of a training that cannot work. `recipes.make_recipe` asks, before a job is made.

Only certain knowledge refuses: the classes of a target are known where its top values are all its values.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mill_contracts.recipe import Preprocessing, Task
from mill_contracts.tables import ColumnKind, ColumnStatistics
from mill_kit.problems import Invalid

from mill_api.models import errors
from mill_api.models.schemas import ModelWish

_TIMELESS = (ColumnKind.STRING, ColumnKind.BOOLEAN, ColumnKind.EMPTY)
_SPELT_ALIKE = (ColumnKind.STRING, ColumnKind.BOOLEAN, ColumnKind.DATE)
"""Kinds whose top values are written as the trainer writes classes."""
_CUT = "…"
_MOST_NAMED = 5


def check_feasible(wish: ModelWish, target: ColumnStatistics, columns: Sequence[ColumnStatistics]) -> None:
    """Raises the refusal that is certain; the trainer finds the others when it reads the data."""
    _check_exclusions(wish, target.name)
    _check_features_left(wish, target.name, columns)
    _check_derived_names(wish.preprocessing or Preprocessing(), {column.name for column in columns})
    _check_time_column(wish, {column.name: column.kind for column in columns})
    if wish.model_type is Task.CLASSIFICATION:
        _check_classes(wish, target)


def _check_exclusions(wish: ModelWish, target: str) -> None:
    if target in wish.exclude:
        role = "is the target" if wish.target else "would be the target, as none is named"
        detail = f'"{target}" {role}, so it cannot be excluded: name another target, or take it out of `exclude`'
        raise _refusal(errors.ContradictoryColumns, f"/exclude/{wish.exclude.index(target)}", detail)
    for index, name in enumerate(wish.features or []):
        if name in wish.exclude:
            detail = f'"{name}" is in `features` and in `exclude`: take it out of one of them'
            raise _refusal(errors.ContradictoryColumns, f"/features/{index}", detail)


def _check_features_left(wish: ModelWish, target: str, columns: Sequence[ColumnStatistics]) -> None:
    left_out = {target, *wish.exclude}
    wanted = [one for one in columns if one.name not in left_out and one.name in (wish.features or [one.name])]
    if any(column.kind is not ColumnKind.EMPTY for column in wanted):
        return
    pointer = "/features" if wish.features else "/exclude" if wish.exclude else "/dataset_id"
    remedy = "choose other features" if wish.features else "exclude fewer columns" if wish.exclude else "add columns"
    detail = f'besides the target "{target}" no column with values is left to learn from: {remedy}'
    raise _refusal(errors.NoFeatures, pointer, detail)


def _check_derived_names(preprocessing: Preprocessing, columns: set[str]) -> None:
    earlier: set[str] = set()
    for index, feature in enumerate(preprocessing.derived):
        if feature.name in columns | earlier:
            other = "another derived feature" if feature.name in earlier else "a column of the dataset"
            detail = f'"{feature.name}" is the name of {other} too: give the derived feature another name'
            raise _refusal(errors.ContradictoryColumns, f"/preprocessing/derived/{index}/name", detail)
        earlier.add(feature.name)


def _check_time_column(wish: ModelWish, kinds: Mapping[str, ColumnKind]) -> None:
    name = wish.validation.time_column if wish.validation else None
    if name is not None and kinds[name] in _TIMELESS:
        held = "no value" if kinds[name] is ColumnKind.EMPTY else f"{kinds[name]}s"
        detail = f'"{name}" holds {held}, which have no order in time: name a date, timestamp or number column'
        raise _refusal(errors.UnsuitableTimeColumn, "/validation/time_column", detail)


def _check_classes(wish: ModelWish, target: ColumnStatistics) -> None:
    _check_two_classes(wish, target)
    _check_labels(wish, list(wish.class_labels))
    rows = _rows_by_class(target)
    if rows is None:
        return
    known = ", ".join(f'"{name}"' for name in list(rows)[:_MOST_NAMED])
    for pointer, name in _named_classes(wish):
        if name not in rows:
            detail = f'"{target.name}" has no class "{name}": its classes are {known}'
            raise _refusal(errors.ClassesWrong, pointer, detail + (", …" if len(rows) > _MOST_NAMED else ""))
    _check_labels(wish, list(rows))
    _check_rows_of_classes(target.name, rows)


def _check_two_classes(wish: ModelWish, target: ColumnStatistics) -> None:
    given = {"decision_threshold": wish.decision_threshold, "positive_class": wish.positive_class}
    for field in (field for field, value in given.items() if value is not None and target.distinct > 2):
        detail = f'{field} needs a target of two classes; "{target.name}" has {target.distinct}: leave it out'
        raise _refusal(errors.ClassesWrong, f"/{field}", detail)


def _check_labels(wish: ModelWish, classes: Sequence[str]) -> None:
    shown = Counter(wish.class_labels.get(name, name) for name in classes)
    for name in (name for name in wish.class_labels if name in classes):
        text = wish.class_labels[name]
        if shown[text] > 1:
            detail = f'two classes would be shown as "{text}": give each a label of its own'
            raise _refusal(errors.ClassesWrong, _pointer_to_label(name), detail)


def _check_rows_of_classes(target: str, rows: Mapping[str, int]) -> None:
    single = [name for name, count in rows.items() if count == 1]
    if single:
        named = ", ".join(f'"{name}"' for name in single[:_MOST_NAMED]) + (", …" if len(single) > _MOST_NAMED else "")
        detail = (
            f'of "{target}" these classes have one row only: {named}. A class needs two at least, one to learn from '
            "and one to measure with: add rows, merge classes or leave these rows out"
        )
        raise _refusal(errors.ClassTooSmall, "/target", detail)


def _rows_by_class(target: ColumnStatistics) -> dict[str, int] | None:
    """Rows of every class; nothing where the statistics do not list all of them as they are."""
    complete = target.kind in _SPELT_ALIKE and target.distinct == len(target.top_values)
    if not complete or any(top.value.endswith(_CUT) for top in target.top_values):
        return None
    return {top.value: top.count for top in target.top_values}


def _named_classes(wish: ModelWish) -> Iterator[tuple[str, str]]:
    yield from ((_pointer_to_label(name), name) for name in wish.class_labels)
    if wish.positive_class is not None:
        yield "/positive_class", wish.positive_class


def _pointer_to_label(name: str) -> str:
    return "/class_labels/" + name.replace("~", "~0").replace("/", "~1")


def _refusal(kind: type[Invalid], pointer: str, detail: str) -> Invalid:
    return kind(detail, errors=[{"pointer": pointer, "detail": detail}])
