"""What crosses the wire."""

from pydantic import BaseModel, Field


class Amount(BaseModel):
    used: int
    limit: int | None = Field(description="null: no limit")


class Usage(BaseModel):
    """Counted from the rows, now; predictions as far as ml-service has reported today (UTC)."""

    bytes: Amount
    models: Amount
    running_jobs: Amount
    predictions_per_day: Amount
