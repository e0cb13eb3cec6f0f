"""The one base of everything that travels: immutable, strict about unknown fields, finite numbers only."""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """A message between two processes. An unknown field is an error: both sides run the same version."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")
