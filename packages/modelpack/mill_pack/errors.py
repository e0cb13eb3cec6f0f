"""Every refusal of the model package.

Problem
├── InvalidInput          422  a row or a table does not fit the model's signature
├── InvalidExpression     422  a derived feature's expression cannot be used
├── InvalidPreprocessing  422  the recipe's preprocessing does not fit the data or the algorithm
├── EngineRefused         422  the estimator has no such engine; another one may have
├── ExplainUnsupported    501  nothing says how this model's answers come about
├── EngineMissing         503  the library the engine needs is not installed here
├── InvalidPackage        500  the package file is damaged, hostile or of another format
└── GoldenRowsDiffer      500  the opened package does not repeat its golden rows
"""

from mill_kit.problems import Problem


class InvalidInput(Problem):
    """`errors` name every wrong feature by JSON pointer (rows) or column (tables)."""

    status = 422
    slug = "invalid-input"
    title = "The input does not fit the model's signature"


class InvalidExpression(Problem):
    status = 422
    slug = "invalid-expression"
    title = "The expression of a derived feature cannot be used"


class InvalidPreprocessing(Problem):
    status = 422
    slug = "invalid-preprocessing"
    title = "The preprocessing does not fit the data or the algorithm"


class EngineRefused(Problem):
    status = 422
    slug = "engine-refused"
    title = "This engine cannot serve this estimator"


class ExplainUnsupported(Problem):
    status = 501
    slug = "explain-unsupported"
    title = "This model cannot be explained"


class EngineMissing(Problem):
    status = 503
    slug = "engine-missing"
    title = "The library this model needs is not installed here"


class InvalidPackage(Problem):
    status = 500
    slug = "invalid-package"
    title = "The model package is damaged or not a package"


class GoldenRowsDiffer(Problem):
    status = 500
    slug = "golden-rows-differ"
    title = "The model package does not repeat its golden rows"
