"""Refusals of the models domain."""

from mill_kit.problems import Conflict, Invalid, NotFound


class ModelNotFound(NotFound):
    slug = "model-not-found"
    title = "No such model"


class ModelVersionNotFound(NotFound):
    slug = "model-version-not-found"
    title = "The model has no such version"


class ModelNotTrained(Conflict):
    """It is still training, or its training failed."""

    slug = "model-not-trained"
    title = "The model version is not trained"


class ModelInUse(Conflict):
    slug = "model-in-use"
    title = "The model is in use"


class ModelNameTaken(Conflict):
    """A name belongs to one project and one task; further versions must agree with the first."""

    slug = "model-name-taken"
    title = "The name belongs to another model"


class DatasetInvalid(Conflict):
    slug = "dataset-invalid"
    title = "The dataset cannot be trained on"


class UnknownAlgorithm(Invalid):
    slug = "unknown-algorithm"
    title = "No such algorithm"


class InvalidParameters(Invalid):
    slug = "invalid-parameters"
    title = "The algorithm does not take these parameters"


class UnsuitableTarget(Invalid):
    slug = "unsuitable-target"
    title = "The target cannot be learned"


class UnknownColumn(Invalid):
    slug = "unknown-column"
    title = "The dataset has no such column"


class ContradictoryColumns(Invalid):
    """A column or a name would have to be two things at once."""

    slug = "contradictory-columns"
    title = "The request says two things of one column"


class NoFeatures(Invalid):
    slug = "no-features"
    title = "No feature is left to learn from"


class UnsuitableTimeColumn(Invalid):
    slug = "unsuitable-time-column"
    title = "The time column holds no times"


class ClassesWrong(Invalid):
    slug = "classes-wrong"
    title = "The recipe does not fit the target's classes"


class ClassTooSmall(Invalid):
    slug = "class-too-small"
    title = "A class has too few rows"
