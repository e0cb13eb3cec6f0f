"""What the slow routes answer. The hot routes' bodies stand in `wire`."""

from mill_pack import Signature
from pydantic import BaseModel, Field


class ModelInfo(BaseModel):
    """`signature` is null until the model was loaded once on this replica; `GET /models/{model}` loads it."""

    model_id: str
    model_version_id: str
    name: str
    version: int
    public: bool
    loaded: bool
    size_bytes: int
    signature: Signature | None = None


class ModelList(BaseModel):
    models: list[ModelInfo]
    total: int


class GlobalStatistics(BaseModel):
    """Rates are shares of 1; `requests_per_second` is over the last minute, `throughput` over the whole uptime.

    Counts are of all worker processes of the replica; a model loaded in several of them counts in `loaded_models` several times.
    """

    uptime_seconds: float
    total_requests: int
    successful_requests: int
    success_rate: float
    throughput: float
    requests_per_second: float
    active_requests: int
    cache_hit_rate: float
    prediction_cache_hit_rate: float
    loaded_models: int
    cache_bytes: int
    cache_budget_bytes: int
    snapshot_number: int
    workers: int


class Latency(BaseModel):
    """Milliseconds, of the last 1,024 successes of each worker."""

    p50: float | None
    p95: float | None
    p99: float | None


class ModelStatistics(BaseModel):
    model_id: str
    name: str
    requests: int
    rows: int
    success_rate: float
    requests_per_second: float
    cached: int
    latency_ms: Latency


class Stats(BaseModel):
    """`models` are those the caller may see, by name; of a name used twice the model's id stands for the second."""

    totals: GlobalStatistics = Field(serialization_alias="global")
    models: dict[str, ModelStatistics]
