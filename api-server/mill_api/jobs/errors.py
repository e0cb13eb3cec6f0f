"""Refusals of the ledger, and the reasons a job fails that no domain knows of."""

from mill_kit.problems import Conflict, NotFound, Problem


class JobNotFound(NotFound):
    slug = "job-not-found"
    title = "No such job"


class JobHasEnded(Conflict):
    slug = "job-has-ended"
    title = "The job has ended already"


class JobHasNotEnded(Conflict):
    slug = "job-has-not-ended"
    title = "The job has not ended yet"


class NothingToRetry(Conflict):
    slug = "nothing-to-retry"
    title = "Only a failed or cancelled job can be retried"


class UnknownKind(Problem):
    status = 500
    slug = "unknown-job-kind"
    title = "No handler for this kind of job"


class AwaitedJobFailed(Conflict):
    """The problem of a job whose `waits_for` did not succeed."""

    slug = "awaited-job-failed"
    title = "The job this one waited for did not succeed"


class LeaseExpired(Problem):
    """The worker was not heard of for a whole lease, at the last attempt."""

    status = 500
    slug = "lease-expired"
    title = "The worker that ran this job disappeared"


class ChildCrashed(Problem):
    """The child ended by a signal or without saying how it went."""

    status = 500
    slug = "job-crashed"
    title = "The process that ran this job crashed"


class MemoryExceeded(Problem):
    status = 500
    slug = "job-memory-exceeded"
    title = "The job used more memory than its kind may"


class TimeExceeded(Conflict):
    """Not tried again: the same work takes the same time."""

    slug = "job-time-exceeded"
    title = "The job took longer than its kind may"


class AttemptFailed(Problem):
    """Something around the child failed: a store that does not answer, a bug."""

    status = 500
    slug = "job-attempt-failed"
    title = "The job could not be run"


class LogNotKept(NotFound):
    slug = "log-not-kept"
    title = "There is no stored log"
