"""Who is asking: a signed-in user or an API key, always in one workspace. Made by `dependencies.me`, read by all domains."""

from dataclasses import dataclass, field
from uuid import UUID

from mill_contracts.ids import KeyId, UserId, WorkspaceId
from mill_contracts.tokens import Role, Scope

from mill_api.access.errors import RoleTooLow, ScopeMissing, SessionNeeded

_ORDER = tuple(Role)
ALL_SCOPES = frozenset(Scope)


def includes(role: Role, needed: Role) -> bool:
    """Whether `role` holds what `needed` holds."""
    return _ORDER.index(role) >= _ORDER.index(needed)


@dataclass(frozen=True)
class Principal:
    """`key_id` is set for API keys, `session_id` for access tokens; `models` empty means every model of the workspace.

    `address` is where the request came from, for the audit log.
    """

    user_id: UserId
    workspace_id: WorkspaceId
    role: Role
    scopes: frozenset[Scope] = ALL_SCOPES
    key_id: KeyId | None = None
    models: frozenset[UUID] = field(default_factory=frozenset[UUID])
    session_id: UUID | None = None
    address: str | None = None

    def need_role(self, needed: Role) -> None:
        if not includes(self.role, needed):
            raise RoleTooLow(f"This needs the role {needed}; yours is {self.role}. Ask an admin of the workspace")

    def need_scope(self, needed: Scope) -> None:
        if needed not in self.scopes:
            raise ScopeMissing(
                f"The API key needs the scope `{needed}`; it has {', '.join(sorted(self.scopes)) or 'none'}"
            )

    def need_session(self) -> None:
        if self.key_id is not None:
            raise SessionNeeded
