"""The text fields beside an uploaded file, checked by a schema. JSON bodies are FastAPI's; these come from our own reader."""

from collections.abc import Mapping
from typing import Any, TypeVar

from mill_kit.http.problems import pointer
from mill_kit.http.sentences import sentence
from mill_kit.problems import Invalid
from pydantic import BaseModel, ValidationError

Form = TypeVar("Form", bound=BaseModel)


def single_values(fields: Mapping[str, list[str]]) -> dict[str, Any]:
    """Each field's value. Raises `Invalid` where one is given twice."""
    for name, values in fields.items():
        if len(values) != 1:
            raise Invalid(f"{name} is given twice", errors=[{"pointer": f"/{name}", "detail": "given more than once"}])
    return {name: values[0] for name, values in fields.items()}


def read_form(form: type[Form], values: Mapping[str, Any]) -> Form:
    """Raises `Invalid` naming every field that is wrong."""
    try:
        return form.model_validate(values)
    except ValidationError as error:
        errors = [
            {"pointer": pointer(item["loc"]), "detail": sentence(item)}
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise Invalid("; ".join(f"{item['pointer']}: {item['detail']}" for item in errors), errors=errors) from None
