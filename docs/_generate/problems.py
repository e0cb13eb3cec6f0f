"""`problems.md`: every `Problem` of every package, found by importing the modules and walking the subclasses."""

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Iterator

from mill_kit.problems import Problem

from _generate.markdown import code, own_docstring, page, table

PLACES = {
    "mill_kit": "Every service",
    "mill_api": "api-server and worker",
    "mill_serving": "ml-service",
    "mill_trainer": "Jobs: what the trainer refuses",
    "mill_pack": "Model packages and predictions",
    "mill_forest": "Tree ensembles",
    "mill_local": "The embedded stack",
    "mill_contracts": "Contracts",
}
SKIPPED = ("migrations", "__main__", "testing")
INTRODUCTION = """\
Every refusal is a problem document (RFC 9457, `application/problem+json`). Its `type` is `urn:modelmill:problem:` and one of
these slugs; a program decides by the slug, a person reads `detail`, which says what to do next. `errors` name the place: a
JSON `pointer` into the request, or `line` and `column` of a file. `request_id` finds the request in the logs.
A job that failed carries the same document in `problem`. A slug that stands in two tables means the same in both."""


def problems_page() -> str:
    parts: list[str] = []
    for package, classes in _by_package().items():
        rows = [(code(one.slug), str(one.status), one.title, _meaning(one)) for one in classes]
        parts += [f"## {PLACES[package]}", table(["slug", "status", "title", "meaning"], rows)]
    return page("Problem types", INTRODUCTION, *parts)


def problem_types() -> list[type[Problem]]:
    """All classes that name a slug of their own."""
    for package in PLACES:
        _import_all(package)
    return [Problem, *(one for one in _below(Problem) if "slug" in one.__dict__ and _package(one) in PLACES)]


def _by_package() -> dict[str, list[type[Problem]]]:
    found: defaultdict[str, list[type[Problem]]] = defaultdict(list)
    for one in sorted(problem_types(), key=lambda one: (one.status, one.slug)):
        found[_package(one)].append(one)
    return {package: found[package] for package in PLACES if package in found}


def _meaning(one: type[Problem]) -> str:
    """The root's docstring is for those who subclass it."""
    return "Nobody foresaw it: the request id finds it in the logs." if one is Problem else own_docstring(one)


def _below(parent: type[Problem]) -> Iterator[type[Problem]]:
    for child in parent.__subclasses__():
        yield child
        yield from _below(child)


def _package(one: type[Problem]) -> str:
    return one.__module__.partition(".")[0]


def _import_all(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, f"{name}."):
        if module.name.rpartition(".")[2] in SKIPPED:
            continue
        if module.ispkg:
            _import_all(module.name)
        else:
            importlib.import_module(module.name)
