"""What can go wrong with the embedded stack; every message says what to do next."""

from mill_kit.problems import Problem


class StackProblem(Problem):
    status = 503
    slug = "stack"
    title = "The embedded stack has a problem"


class PartMissing(StackProblem):
    slug = "stack-part-missing"
    title = "A part of the embedded stack is not installed"


class PartFailed(StackProblem):
    slug = "stack-part-failed"
    title = "A part of the embedded stack did not start"


class StackRuns(StackProblem):
    status = 409
    slug = "stack-runs"
    title = "The embedded stack is running already"


class StackDown(StackProblem):
    slug = "stack-down"
    title = "The embedded stack is not running"
