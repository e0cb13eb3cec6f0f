"""How far a deployment has come: what each living replica of ml-service says of it, read from Redis."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from mill_contracts.routing import REPLICA_KEY_PREFIX, ReplicaReport
from mill_kit.logs import get_logger
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from mill_api.cache import values_of


class RolloutState(StrEnum):
    """`waiting`: the version is still being trained; `deploying`: not every replica is ready yet; `unknown`: none reports."""

    WAITING = "waiting"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ReplicaState:
    replica: str
    state: str
    reason: str | None


@dataclass(frozen=True)
class Rollout:
    state: RolloutState
    replicas: tuple[ReplicaState, ...] = ()


@dataclass(frozen=True)
class Replicas:
    """The reports of all replicas that live; each vanishes by its TTL when its replica does."""

    cache: Redis

    async def reports(self) -> list[ReplicaReport]:
        """Empty when Redis is away: then nothing is known, and nothing is claimed."""
        try:
            documents = await values_of(self.cache, f"{REPLICA_KEY_PREFIX}*")
        except (RedisError, OSError) as error:
            get_logger().warning("replicas_unknown", error=repr(error))
            return []
        return [report for document in documents if (report := _parsed(document)) is not None]


def rollout_of(version_id: UUID, reports: list[ReplicaReport]) -> Rollout:
    """`deployed` when every living replica is ready; one that failed makes it `failed`, with its reason."""
    states = tuple(_state_on(report, version_id) for report in reports)
    if not states:
        return Rollout(RolloutState.UNKNOWN)
    found = {state.state for state in states}
    if "failed" in found:
        return Rollout(RolloutState.FAILED, states)
    return Rollout(RolloutState.DEPLOYED if found == {"ready"} else RolloutState.DEPLOYING, states)


def _state_on(report: ReplicaReport, version_id: UUID) -> ReplicaState:
    for version in report.versions:
        if version.model_version_id == version_id:
            return ReplicaState(report.replica, version.state, version.reason)
    return ReplicaState(report.replica, "loading", None)


def _parsed(document: bytes) -> ReplicaReport | None:
    try:
        return ReplicaReport.model_validate_json(document)
    except ValidationError:
        get_logger().warning("replica_report_unreadable")
        return None
