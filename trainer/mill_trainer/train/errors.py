"""Every refusal of a training. All are 422: the same recipe and data would be refused again.

Problem
├── UnknownAlgorithm    the framework has no such algorithm for the task
├── InvalidParameters   the catalogue or the library refuses a parameter
├── ColumnMissing       the recipe names a column the table does not have
├── TargetMissing       there is no such target column, or it holds no value
├── TargetConstant      the target has one value only
├── TargetNotNumeric    a regression on text
├── ClassTooSmall       a class has too few rows to be learnt and measured
├── ClassesWrong        labels, positive class or threshold do not fit the classes
├── TooFewRows          nothing is left to learn from or to measure with
├── NoFeatures          no usable column is left
└── InfiniteValues      a feature holds infinity

What the encoder refuses (`InvalidExpression`, `InvalidPreprocessing`) is `mill_pack`'s.
"""

from mill_kit.problems import Problem


class UnknownAlgorithm(Problem):
    status = 422
    slug = "unknown-algorithm"
    title = "There is no such algorithm"


class InvalidParameters(Problem):
    """`errors` point at each parameter; a library's own refusal is quoted."""

    status = 422
    slug = "invalid-parameters"
    title = "The algorithm does not take these parameters"


class ColumnMissing(Problem):
    status = 422
    slug = "column-missing"
    title = "The table has no such column"


class TargetMissing(Problem):
    status = 422
    slug = "target-missing"
    title = "The table has no such target"


class TargetConstant(Problem):
    status = 422
    slug = "target-constant"
    title = "The target has one value only"


class TargetNotNumeric(Problem):
    status = 422
    slug = "not-numeric-target"
    title = "A regression needs a numeric target"


class ClassTooSmall(Problem):
    status = 422
    slug = "class-too-small"
    title = "A class has too few rows"


class ClassesWrong(Problem):
    status = 422
    slug = "classes-wrong"
    title = "The recipe does not fit the target's classes"


class TooFewRows(Problem):
    status = 422
    slug = "too-few-rows"
    title = "Too few rows to train on"


class NoFeatures(Problem):
    status = 422
    slug = "no-features"
    title = "No feature is left to learn from"


class InfiniteValues(Problem):
    status = 422
    slug = "infinite-values"
    title = "A feature holds infinite values"
