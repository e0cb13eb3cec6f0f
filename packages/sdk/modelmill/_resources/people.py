"""Members of the workspace, invitations into it, workspaces, service accounts, and the audit log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from modelmill._pages import walk
from modelmill._people import AuditLine, Invitation, Member, ServiceAccount, Workspace
from modelmill._resources.datasets import save_stream
from modelmill._tokens import Identity, SignedIn
from modelmill._transport import Transport, path


class Members:
    """Of the active workspace. Roles are `user`, `data_scientist` and `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[Member]:
        return walk(self._transport, path("users"), Member)

    def add(self, email: str, role: str = "user") -> Member:
        """Let somebody in who is registered; others are invited."""
        return Member.of(self._transport.create(path("users"), {"email": email, "role": role}))

    def change_role(self, user_id: str, role: str) -> Member:
        return Member.of(self._transport.patch(path("users", user_id), {"role": role}))

    def remove(self, user_id: str) -> None:
        """Their keys, sign-ins and access tokens for this workspace are worthless at once."""
        self._transport.delete(path("users", user_id))


class Invitations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, email: str, role: str = "user", *, expires_in_hours: int | None = None) -> Invitation:
        """Its `code` is shown in this answer and never again; no mail is sent."""
        body = {"email": email, "role": role, "expires_in_hours": expires_in_hours}
        return Invitation.of(self._transport.create(path("invitations"), body))

    def list(self) -> Iterator[Invitation]:
        return walk(self._transport, path("invitations"), Invitation)

    def revoke(self, invitation_id: str) -> None:
        self._transport.delete(path("invitations", invitation_id))

    def accept(self, code: str) -> str:
        """Join as the signed-in user; the id of the workspace, for `workspaces.switch`. Who is new registers with the code."""
        return str(self._transport.post(path("invitations", "accept"), {"code": code})["workspace_id"])


class Workspaces:
    def __init__(self, transport: Transport, identity: Identity) -> None:
        self._transport = transport
        self._identity = identity

    def list(self) -> Iterator[Workspace]:
        """Those you are a member of."""
        return walk(self._transport, path("workspaces"), Workspace)

    def create(self, name: str) -> Workspace:
        return Workspace.of(self._transport.create(path("workspaces"), {"name": name}))

    def rename(self, name: str) -> Workspace:
        """The active one."""
        return Workspace.of(self._transport.patch(path("workspaces", "current"), {"name": name}))

    def hand_over(self, user_id: str) -> Workspace:
        """Make another member the owner of the active workspace."""
        return Workspace.of(self._transport.put(path("workspaces", "current", "owner"), {"user_id": user_id}))

    def switch(self, workspace_id: str) -> None:
        """Work in another of your workspaces from now on. An API key stays in its own."""
        match self._identity:
            case SignedIn() as identity:
                identity.switch(self._transport.bare_post, workspace_id)
            case _:
                raise ValueError("an API key belongs to one workspace; sign in to switch")


class ServiceAccounts:
    """What programs sign in as; give one keys with `auth.create_key(…, service_account_id=…)`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, role: str = "user", *, description: str = "") -> ServiceAccount:
        body = {"name": name, "role": role, "description": description}
        return ServiceAccount.of(self._transport.create(path("service-accounts"), body))

    def list(self) -> Iterator[ServiceAccount]:
        return walk(self._transport, path("service-accounts"), ServiceAccount)

    def change(self, account_id: str, **changes: Any) -> ServiceAccount:
        """`changes`: name, description, role."""
        return ServiceAccount.of(self._transport.patch(path("service-accounts", account_id), changes))

    def delete(self, account_id: str) -> None:
        """Its keys are worthless at once."""
        self._transport.delete(path("service-accounts", account_id))


class Audit:
    """Who did what in the workspace. `filters`: user_id, action, subject, since, until (ISO 8601)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **filters: Any) -> Iterator[AuditLine]:
        return walk(self._transport, path("audit"), AuditLine, **filters)

    def export(self, to: str | Path, *, format: Literal["ndjson", "csv"] = "ndjson", **filters: Any) -> Path:  # noqa: A002
        """Every line that the filters find, streamed to `to`."""
        given = {name: value for name, value in filters.items() if value is not None}
        return save_stream(self._transport, path("audit", "export"), Path(to), params={"format": format, **given})
