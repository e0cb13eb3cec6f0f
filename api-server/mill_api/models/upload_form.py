"""What is said beside an uploaded model file."""

import json
from typing import Any
from uuid import UUID

from mill_contracts.adoption import DeclaredSignature, ModelFramework, SampleValue
from mill_contracts.recipe import Task
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mill_api.models.schemas import ModelName
from mill_api.texts import Description, Tags, all_storable


class UploadWords(BaseModel):
    """The text fields. `signature` and `sample_rows` are JSON texts; what they leave open comes from the file."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    framework: ModelFramework
    signature: DeclaredSignature = DeclaredSignature()
    sample_rows: list[dict[str, SampleValue]] = Field(default=[], max_length=1_000)

    @field_validator("signature", "sample_rows", mode="before")
    @classmethod
    def _read_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be JSON") from None

    def kept(self) -> dict[str, Any]:
        """As the row keeps it. `columns` is the order of the first sample row, which PostgreSQL's JSON forgets."""
        return {**self.model_dump(mode="json"), "columns": list(self.sample_rows[0]) if self.sample_rows else []}

    @model_validator(mode="after")
    def _can_be_kept(self) -> "UploadWords":
        all_storable(self.model_dump(mode="json"))
        return self


class ModelUpload(UploadWords):
    """A new model, or by a known name its next version."""

    name: ModelName
    project_id: UUID
    model_type: Task
    description: Description = ""
    tags: Tags = []


UPLOAD_BODY: dict[str, Any] = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "XGBoost JSON or UBJ, LightGBM text, ONNX in one file, or skops; told by its content",
    },
    "framework": {"type": "string", "enum": [framework.value for framework in ModelFramework]},
    "signature": {
        "type": "string",
        "description": 'JSON: {"features": [{"name", "kind", "categories", …}], "classes": […], "target"}; each part may be left out',
    },
    "sample_rows": {
        "type": "string",
        "description": "JSON: a list of rows as a client will send them, the first in the order of the file's columns",
    },
}
NEW_MODEL_BODY: dict[str, Any] = {
    "name": {"type": "string"},
    "project_id": {"type": "string", "format": "uuid"},
    "model_type": {"type": "string", "enum": [task.value for task in Task]},
    "description": {"type": "string"},
    "tags": {"type": "string", "description": "Separated by commas, or the field repeated"},
}


def body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """The multipart body of an upload, for the OpenAPI document."""
    schema = {"type": "object", "required": list(required), "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
