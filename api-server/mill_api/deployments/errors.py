"""Refusals of the deployments domain."""

from mill_kit.problems import Conflict, NotFound, Unavailable


class NotDeployed(Conflict):
    slug = "not-deployed"
    title = "The model is not deployed"


class DeploymentNotFound(NotFound):
    slug = "deployment-not-found"
    title = "No such deployment"


class NothingToRollBackTo(Conflict):
    slug = "nothing-to-roll-back-to"
    title = "There is no earlier version to go back to"


class CannotDeploy(Conflict):
    """The training of the version failed, or the version is deprecated."""

    slug = "cannot-deploy"
    title = "This version cannot be deployed"


class BatchInUse(Conflict):
    slug = "batch-prediction-in-use"
    title = "The job of the batch prediction has not ended"


class BatchNotFound(NotFound):
    slug = "batch-prediction-not-found"
    title = "No such batch prediction"


class BatchNotDone(Conflict):
    slug = "batch-prediction-not-done"
    title = "The batch prediction has no result"


class PredictionNotFound(NotFound):
    slug = "prediction-not-found"
    title = "No such prediction"


class ServingUnavailable(Unavailable):
    slug = "serving-unavailable"
    title = "The ml-service does not answer"
