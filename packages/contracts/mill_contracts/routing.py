"""The routing snapshot: all the data plane needs to know of the control plane, numbered and signed as a whole.

The api-server writes it once as `published/<number>.json` and announces the same bytes in Redis; ml-service takes the highest
valid number from either and never a lower one. The document is `SignedSnapshot`; `payload` is the JSON of `RoutingSnapshot`.
"""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from mill_contracts.base import Contract

SNAPSHOT_CHANNEL = "mill:published"
SNAPSHOT_KEY = "mill:published:latest"
REPLICA_KEY_PREFIX = "mill:replica:"
TALLY_KEY_PREFIX = "mill:tally:"
"""Where each process of ml-service tells its `Tally`."""
EXHAUSTED_KEY = "mill:exhausted"
"""Where the control plane tells which workspaces have used up their predictions of the day."""


def snapshot_object_key(number: int) -> str:
    return f"published/{number:012d}.json"


class Policy(Contract):
    """What a deployment does with rows that do not fit its signature.

    `extra`: values of no feature; `missing`: features left out or null where training never saw them missing (imputed with the
    middle or the most frequent value of training); `unseen`: categories training never saw.
    """

    extra: Literal["refuse", "ignore"] = "refuse"
    missing: Literal["refuse", "impute"] = "refuse"
    unseen: Literal["accept", "refuse"] = "accept"


class Route(Contract):
    """A deployed model version and where its package lies. `previous` keeps serving until this one is ready everywhere.

    `deployed_at` is when somebody last asked for the live version: to deploy again gives one that crashed another try.
    """

    model_id: UUID
    model_version_id: UUID
    workspace_id: UUID
    name: str
    version: int
    object_key: str
    sha256: str
    size: int
    public: bool = False
    is_default: bool = True
    previous_version_id: UUID | None = None
    policy: Policy | None = None
    deployed_at: datetime | None = None


class DayCount(Contract):
    """Rows predicted for a workspace on one day (UTC)."""

    workspace_id: UUID
    day: date
    count: int = Field(ge=0)


class Tally(Contract):
    """What one run of one process of ml-service has predicted; `source` names the run."""

    source: str
    counts: tuple[DayCount, ...]


class Exhausted(Contract):
    """Workspaces without predictions left on `day`."""

    day: date
    workspaces: tuple[UUID, ...]


class ApiKeyEntry(Contract):
    """`sha256` is of the whole secret key; the key itself is known to its owner alone. `models` empty means all of the workspace."""

    key_id: UUID
    workspace_id: UUID
    user_id: UUID
    sha256: str
    scopes: tuple[str, ...]
    models: tuple[UUID, ...] = ()
    expires_at: datetime | None = None


class Revocation(Contract):
    """Access tokens of `user_id` issued before `at` are worthless: all, those for one workspace, or those of one sign-in."""

    user_id: UUID
    workspace_id: UUID | None = None
    session_id: UUID | None = None
    at: datetime


class RoutingSnapshot(Contract):
    number: int
    issued_at: datetime
    routes: tuple[Route, ...] = ()
    api_keys: tuple[ApiKeyEntry, ...] = ()
    revocations: tuple[Revocation, ...] = ()


class SignedSnapshot(Contract):
    """`signature` is Ed25519 over the UTF-8 bytes of `payload`, base64; `key_id` names the public key to check it with."""

    key_id: str
    payload: str
    signature: str


class VersionReadiness(Contract):
    model_version_id: UUID
    state: Literal["loading", "ready", "failed"]
    reason: str | None = None


class ReplicaReport(Contract):
    """What a replica says of itself every few seconds, under `mill:replica:<replica>` with a TTL."""

    replica: str
    address: str
    number: int
    reported_at: datetime
    versions: tuple[VersionReadiness, ...] = ()
