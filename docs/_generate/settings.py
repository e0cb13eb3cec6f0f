"""`settings.md`: every `MILL_…` variable, read from the settings classes of both services."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from mill_api import settings as api
from mill_serving import settings as serving
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from _generate.markdown import code, own_docstring, page, table

CONTROL: Mapping[str, type[BaseSettings]] = {
    "api-server": api.Settings,
    "worker": api.ProcessSettings,
    "migrate": api.MigrationSettings,
    "flower": api.FlowerSettings,
}
DATA: Mapping[str, type[BaseSettings]] = {"ml-service": serving.Settings}
INTRODUCTION = """\
Both services read their settings once, at their start, from environment variables. A double underscore separates the levels.
A setting without a default must be given. Secrets have no default; in `production`, which is the default environment, the
control plane refuses to start with a secret that is missing, short or well known. `modelmill up` and the compose file set
all of these; [the guide](../guides/operations.md#settings) says which are worth changing."""


@dataclass
class Variable:
    name: str
    field: FieldInfo
    section: type[BaseModel]
    read_by: list[str]


def settings_page() -> str:
    return page(
        "Settings",
        INTRODUCTION,
        "## api-server and worker",
        "`python -m mill_api serve | worker | migrate | flower`; the last column says which of them reads the setting.",
        *_sections(CONTROL),
        "## ml-service",
        "`python -m mill_serving serve`.",
        *_sections(DATA),
    )


def _sections(processes: Mapping[str, type[BaseSettings]]) -> Iterator[str]:
    """One table per part of the name that comes before `__`, introduced by what its class says."""
    grouped: dict[str, dict[str, Variable]] = defaultdict(dict)
    for process, settings in processes.items():
        for name, field, section in _walk(settings, str(settings.model_config.get("env_prefix", ""))):
            variable = grouped[name.rpartition("__")[0]].setdefault(name, Variable(name, field, section, []))
            variable.read_by.append(process)
    several = len(processes) > 1
    for prefix, variables in sorted(grouped.items()):
        first = next(iter(variables.values()))
        text = own_docstring(first.section) if prefix else ""
        head = ["variable", "type", "default", "secret", *(["read by"] if several else [])]
        yield f"### {code(prefix + '__…') if prefix else 'General'}"
        yield text
        yield table(head, (_row(variable, several) for variable in variables.values()))


def _row(variable: Variable, several: bool) -> list[str]:
    field = variable.field
    is_secret = "SecretStr" in str(field.annotation) or variable.name.endswith("PRIVATE_KEY_FILE")
    cells = [code(variable.name), _type(field), _default(field), "yes" if is_secret else ""]
    return [*cells, ", ".join(variable.read_by)] if several else cells


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _walk(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", field, model


def _type(field: FieldInfo) -> str:
    """`integer ≥ 1 and ≤ 64`."""
    limits = [
        f"{sign} {getattr(rule, word):,}" for rule in field.metadata for word, sign in _SIGNS if hasattr(rule, word)
    ]
    return f"{_name(field.annotation)} {' and '.join(limits)}".rstrip()


_SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
_NAMES: Mapping[Any, str] = {
    str: "text",
    SecretStr: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
}


def _name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin in (UnionType, Union):
        return " or ".join(_name(one) for one in get_args(annotation) if one is not NoneType)
    if origin is Literal:
        return ", ".join(code(str(one)) for one in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(code(str(member.value)) for member in annotation)
    return _NAMES[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None:
        return "the host's name"
    default: Any = field.default
    value = default.value if isinstance(default, Enum) else default
    return "" if value is None or value == "" else code(str(value))
