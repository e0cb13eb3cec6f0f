"""Refusals of the datasets domain."""

from mill_kit.problems import Conflict, NotFound


class DatasetNotFound(NotFound):
    slug = "dataset-not-found"
    title = "No such dataset"


class DatasetVersionNotFound(NotFound):
    slug = "dataset-version-not-found"
    title = "The dataset has no such version"


class DatasetNotReady(Conflict):
    """Its profile is still being made, or the table could not be read."""

    slug = "dataset-not-ready"
    title = "The dataset is not ready"


class DatasetInUse(Conflict):
    slug = "dataset-in-use"
    title = "Jobs are still working with the dataset"


class DatasetNameTaken(Conflict):
    slug = "dataset-name-taken"
    title = "The project has a dataset of this name already"
