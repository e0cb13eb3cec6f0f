"""`algorithms.md`: the catalogue of algorithms and their parameters, for people."""

import json
from collections.abc import Iterator, Mapping

from mill_contracts.algorithms import Algorithm, Parameter, catalogue

from _generate.markdown import code, page, table

INTRODUCTION = """\
Parameters have the libraries' own names, and what they take is generated from the libraries: a training with another name or
value is refused at once, naming the closest valid one. `GET /api/v1/models/algorithms` answers the same with a JSON Schema of
every parameter. The default algorithm of a framework is the one taken when a training names none."""


def algorithms_page() -> str:
    known = catalogue()
    versions = ", ".join(f"{name} {version}" for name, version in sorted(known.libraries.items()))
    overview = [
        (one.framework.value, one.task.value, code(one.name), one.title, "yes" if one.is_default else "")
        for one in known.algorithms
    ]
    return page(
        "Algorithms",
        INTRODUCTION,
        f"Read from {versions}.",
        table(["framework", "task", "algorithm", "what it is", "default"], overview),
        *(part for one in known.algorithms for part in _algorithm(one)),
    )


def _algorithm(one: Algorithm) -> Iterator[str]:
    yield f"## {one.framework.value} {one.name}, {one.task.value}"
    if one.also_named:
        yield f"Also named {', '.join(code(name) for name in one.also_named)}."
    yield table(["parameter", "takes", "default"], _parameters(one.parameters))
    if one.aliases:
        yield (
            "Other names: "
            + ", ".join(f"{code(alias)} = {code(name)}" for alias, name in sorted(one.aliases.items()))
            + "."
        )
    if one.managed:
        yield (
            "Set by Modelmill: " + "; ".join(f"{code(name)} ({why})" for name, why in sorted(one.managed.items())) + "."
        )


def _parameters(parameters: Mapping[str, Parameter]) -> Iterator[tuple[str, str, str]]:
    for name, parameter in parameters.items():
        yield code(name), parameter.words(), "" if parameter.default is None else code(json.dumps(parameter.default))
