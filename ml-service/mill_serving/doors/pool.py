"""What operators ask of a running replica: what it is, how busy its pool is, and its last predictions. Nothing here is hot.

The pool's slots are threads that share one instance of each model, which is immutable: nothing is built per slot, and a model in
demand uses every slot. Where the threads cannot be had, one slot is left: the event loop itself.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from mill_serving.doors.dependencies import Secret, TheEngine
from mill_serving.errors import CredentialsMissing, MayNotManage
from mill_serving.targets import Principal

router = APIRouter()


class ServiceInformation(BaseModel):
    service: str
    version: str
    models: int
    default_model: str | None
    documentation: str
    health: str


class PoolStatistics(BaseModel):
    """`total` predictions of blocks and slow models, added up over worker processes; `available` slots are idle now."""

    size: int
    available: int
    in_use: int
    waiting: int
    total: int
    average_per_slot: float
    busy_seconds: float
    refused: int
    dropped: int


class Journalled(BaseModel):
    entries: list[dict[str, Any]]


class SlowFunction(BaseModel):
    function: str
    calls: int
    own_ms: float
    total_ms: float


class PerformanceRecord(BaseModel):
    """What one prediction cost. Milliseconds; `cpu_ms` is of the thread that predicted, memory of the process that did.

    `inference_ms` of a block includes reading and rendering it; waiting in the queue is in `latency_ms` alone. `function_calls` and
    `top_functions` (by their own time) are there when a profile was asked for.
    """

    transaction_id: str
    at: float
    model_id: str
    model_name: str
    version: int
    rows: int
    cached: bool
    latency_ms: float
    inference_ms: float
    cpu_ms: float
    memory_bytes: int
    memory_delta_bytes: int
    function_calls: int | None = None
    top_functions: list[SlowFunction] | None = None


class JournalStatistics(BaseModel):
    """`one_in` 0 means that nothing is noted. `written` and `lost` are of all workers of this replica."""

    length: int
    kept: int
    one_in: int
    written: int
    lost: int


@router.get("/", tags=["operations"])
async def service(engine: TheEngine) -> ServiceInformation:
    """What answers here."""
    return ServiceInformation(
        service="ml-service",
        version=engine.version,
        models=len(engine.rollout.catalogue.visible(None)),
        default_model=engine.default_model,
        documentation="/docs",
        health="/health",
    )


@router.get("/pool/stats", tags=["operations"])
async def pool_stats(engine: TheEngine) -> PoolStatistics:
    """The threads that predict blocks and slow models."""
    counted = engine.census.take().published
    size, running = int(counted["inference_lane_threads"]), int(counted["inference_lane_running"])
    total = int(counted["inference_lane_done"])
    return PoolStatistics(
        size=size,
        available=max(0, size - running),
        in_use=running,
        waiting=max(0, int(counted["inference_lane_pending"]) - running),
        total=total,
        average_per_slot=round(total / max(size, 1), 3),
        busy_seconds=round(counted["inference_lane_busy_seconds"], 6),
        refused=int(counted["inference_lane_refused"]),
        dropped=int(counted["inference_lane_dropped"]),
    )


@router.get("/logs", tags=["operations"])
async def logs(engine: TheEngine, secret: Secret, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Journalled:
    """The newest sampled predictions of your workspace's models. Needs `MILL_JOURNAL__ONE_IN` above 0."""
    return Journalled(entries=await engine.journal.read(_workspace(engine.identify(secret)), limit))


@router.get("/logs/stats", tags=["operations"])
async def logs_stats(engine: TheEngine, secret: Secret) -> JournalStatistics:
    """How many are kept, and how many were lost because Redis was away or slow."""
    journal = engine.journal
    length = await journal.length(_workspace(engine.identify(secret)))
    counted = engine.census.take().published
    return JournalStatistics(
        length=length,
        kept=journal.kept,
        one_in=journal.every,
        written=int(counted["journal_written"]),
        lost=int(counted["journal_lost"]),
    )


@router.delete("/logs", tags=["operations"], status_code=204)
async def clear_logs(engine: TheEngine, secret: Secret) -> None:
    """Forget them. For those who may deploy in the workspace."""
    caller = engine.identify(secret)
    workspace = _workspace(caller)
    if caller is None or not caller.may_manage:
        raise MayNotManage
    await engine.journal.clear(workspace)


@router.get("/performance/{transaction_id}", tags=["operations"])
async def performance(transaction_id: str, engine: TheEngine, secret: Secret) -> PerformanceRecord:
    """What a prediction of your workspace cost: one that was sampled (`MILL_JOURNAL__ONE_IN`) or sent with `X-Profile: 1`.

    The transaction id is the request id of its answer.
    """
    workspace = _workspace(engine.identify(secret))
    return PerformanceRecord.model_validate(await engine.journal.record(workspace, transaction_id))


def _workspace(caller: Principal | None) -> str:
    if caller is None:
        raise CredentialsMissing
    return str(caller.workspace_id)
