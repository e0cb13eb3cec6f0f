"""One servable model version, and who asks. The repository makes targets; the registry loads them; the engine joins the two."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from mill_contracts.routing import Policy, Route


@dataclass(frozen=True, slots=True)
class Target:
    """A package and the names it goes by. `path` is set for shared models, `object_key` for those of a workspace."""

    model_id: str
    version_id: str
    name: str
    version: int
    sha256: str
    size: int
    public: bool
    workspace_id: UUID | None = None
    object_key: str | None = None
    path: Path | None = None
    policy: Policy | None = None

    @classmethod
    def of_route(cls, route: Route) -> "Target":
        return cls(
            model_id=str(route.model_id),
            version_id=str(route.model_version_id),
            name=route.name,
            version=route.version,
            sha256=route.sha256,
            size=route.size,
            public=route.public,
            workspace_id=route.workspace_id,
            object_key=route.object_key,
            policy=route.policy,
        )

    @property
    def is_shared(self) -> bool:
        return self.path is not None

    @property
    def label(self) -> str:
        """The metric label: names of workspaces stay out of /metrics, where two may have the same."""
        return self.name if self.public else self.model_id


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `models` None means all of the workspace; `expires_at` is in epoch seconds.

    `may_manage`: may load and unload the workspace's models here. `session_id` and `issued_at` are an access token's.
    """

    workspace_id: UUID
    user_id: UUID
    key_id: UUID | None
    may_predict: bool
    models: frozenset[str] | None = None
    expires_at: float = float("inf")
    key_sha256: str = ""
    may_manage: bool = False
    session_id: UUID | None = None
    issued_at: float = 0.0
