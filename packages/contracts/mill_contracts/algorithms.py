"""Which algorithms there are and what parameters each takes, checked without any ML library.

`algorithms.json` is generated from the libraries by `python -m mill_trainer.catalogue`. The api-server refuses a wrong recipe
with it at once, the console draws forms from it, the trainer checks again before it calls the library.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any, Literal, cast

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from mill_contracts.base import Contract
from mill_contracts.problems import FieldProblem
from mill_contracts.recipe import Framework, Task

JsonType = Literal["integer", "number", "string", "boolean", "null", "array", "object"]


class UnknownAlgorithm(LookupError):  # noqa: N818 - it says what it is
    """The framework has no such algorithm for the task; `closest` is what was probably meant."""

    def __init__(self, message: str, closest: str | None) -> None:
        super().__init__(message)
        self.closest = closest


class JsonSchema(Contract):
    """Written with the keywords of JSON Schema (`exclusiveMinimum`), so that a console can draw a form from it."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Form(JsonSchema):
    """One accepted form of a parameter, in the words of JSON Schema."""

    type: JsonType
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    exclusive_maximum: float | None = None
    enum: tuple[str, ...] = ()
    items: "Form | None" = None
    additional_properties: "Form | None" = None
    max_items: int | None = None

    def accepts(self, value: object) -> bool:
        match self.type:
            case "null":
                return value is None
            case "boolean":
                return isinstance(value, bool)
            case "string":
                return isinstance(value, str) and (not self.enum or value in self.enum)
            case "integer":
                return isinstance(value, int) and not isinstance(value, bool) and self._within(value)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool) and self._within(value)
            case "array":
                return isinstance(value, list | tuple) and self._holds(cast("list[object]", value))
            case "object":
                return isinstance(value, Mapping) and self._all(
                    self.additional_properties, cast("Mapping[str, object]", value).values()
                )

    def words(self) -> str:
        """The form as a person reads it: `an integer ≥ 1`."""
        if self.enum:
            return "one of " + ", ".join(f'"{name}"' for name in self.enum)
        if self.type == "array":
            return "a list" if self.items is None else f"a list, each {self.items.words()}"
        if self.type == "object":
            return (
                "an object"
                if self.additional_properties is None
                else f"an object, each value {self.additional_properties.words()}"
            )
        noun = {"integer": "an integer", "number": "a number", "string": "a text", "boolean": "true or false"}
        signs = (("≥", self.minimum), (">", self.exclusive_minimum), ("≤", self.maximum), ("<", self.exclusive_maximum))
        limits = " and ".join(f"{sign} {limit:,.15g}" for sign, limit in signs if limit is not None)
        return f"{noun.get(self.type, self.type)} {limits}".rstrip()

    def _within(self, value: float) -> bool:
        return (
            isfinite(value)
            and (self.minimum is None or value >= self.minimum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.exclusive_maximum is None or value < self.exclusive_maximum)
        )

    def _holds(self, values: list[object]) -> bool:
        return 0 < len(values) <= (self.max_items or len(values)) and self._all(self.items, values)

    @staticmethod
    def _all(form: "Form | None", values: Iterable[object]) -> bool:
        return form is None or all(form.accepts(value) for value in values)


class Parameter(JsonSchema):
    """A JSON Schema of one parameter: any of its forms, the default, the library's own first sentence about it."""

    description: str = ""
    default: Any = None
    any_of: tuple[Form, ...]

    def accepts(self, value: object) -> bool:
        """An integer is measured by the integer forms where there are any: 1 leaf is not 100 % of the leaves."""
        forms = self.any_of
        if isinstance(value, int) and not isinstance(value, bool):
            forms = tuple(form for form in forms if form.type == "integer") or forms
        return any(form.accepts(value) for form in forms)

    def words(self) -> str:
        return " or ".join(form.words() for form in self.any_of)


class Algorithm(Contract):
    """An algorithm of a framework for one task. `presets` are Modelmill's defaults where the library's own would not do.

    `aliases` are other names the library knows a parameter by; `managed` says why a parameter of the library is not taken.
    """

    framework: Framework
    task: Task
    name: str
    title: str
    also_named: tuple[str, ...] = ()
    is_default: bool = False
    presets: dict[str, Any] = {}
    parameters: dict[str, Parameter]
    aliases: dict[str, str] = {}
    managed: dict[str, str] = {}

    def check(self, parameters: Mapping[str, object]) -> list[FieldProblem]:
        """What is wrong with each parameter; empty when the library will take them all."""
        problems = [self._check_one(name, value) for name, value in parameters.items()]
        first: dict[str, str] = {}
        for name in parameters:
            other = first.setdefault(self.aliases.get(name, name), name)
            if other != name:
                problems.append(_problem(name, f"{name} and {other} are names of one parameter: give one of them"))
        return [problem for problem in problems if problem is not None]

    def canonical(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters under the names the estimator takes, over the presets."""
        return {**self.presets, **{self.aliases.get(name, name): value for name, value in parameters.items()}}

    def _check_one(self, name: str, value: object) -> FieldProblem | None:
        if name in self.managed:
            return _problem(name, f"{name} cannot be set: {self.managed[name]}")
        parameter = self.parameters.get(self.aliases.get(name, name))
        if parameter is None:
            closest = _closest(name, [*self.parameters, *self.aliases])
            hint = f'; did you mean "{closest}"?' if closest else f"; it takes {', '.join(self.parameters)}"
            return _problem(name, f'{self.name} has no parameter "{name}"{hint}')
        if parameter.accepts(value):
            return None
        return _problem(name, f"{name} must be {parameter.words()}, not {value!r:.100}")


class Catalogue(Contract):
    """All algorithms. `libraries` are the versions the parameters were read from."""

    libraries: dict[str, str]
    algorithms: tuple[Algorithm, ...]

    def algorithm(self, framework: Framework | str, task: Task | str, name: str | None = None) -> Algorithm:
        """The named algorithm, or the framework's default for the task; raises `UnknownAlgorithm` naming the closest."""
        known = [one for one in self.algorithms if one.framework == framework and one.task == task]
        for one in known:
            if name in (one.name, *one.also_named) or (name is None and one.is_default):
                return one
        closest = _closest(name or "", [one.name for one in known])
        hint = f'; did you mean "{closest}"?' if closest else "."
        names = ", ".join(one.name for one in known)
        raise UnknownAlgorithm(f'{framework} has no {task} algorithm "{name}"{hint} It has: {names}.', closest)


@cache
def catalogue() -> Catalogue:
    """The generated catalogue of this release."""
    return Catalogue.model_validate_json(files("mill_contracts").joinpath("algorithms.json").read_bytes())


def _closest(name: str, known: list[str]) -> str | None:
    matches = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _problem(name: str, detail: str) -> FieldProblem:
    pointer = "/parameters/" + name.replace("~", "~0").replace("/", "~1")
    return FieldProblem(pointer=pointer, detail=detail)
