"""What can go wrong with a backup or a restore; every message says what to do next."""

from mill_local.errors import StackProblem


class CareFailed(StackProblem):
    slug = "care-failed"
    title = "The work was not done"


class NotEmpty(StackProblem):
    status = 409
    slug = "not-empty"
    title = "There is something already"


class BackupDamaged(StackProblem):
    status = 422
    slug = "backup-damaged"
    title = "The backup is not whole"


class NobodyThere(StackProblem):
    status = 404
    slug = "nobody-there"
    title = "Nobody was erased"


class StillNeeded(StackProblem):
    status = 409
    slug = "still-needed"
    title = "Somebody else still needs this account"
