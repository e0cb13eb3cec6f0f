"""What access takes and gives over HTTP. An unknown field, such as a `role` at registration, is refused."""

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from mill_contracts.tokens import Role, Scope
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from mill_api.access.principal import Principal
from mill_api.access.tables import MembershipRow, UserRow, WorkspaceRow
from mill_api.texts import Name, all_storable, one_line

_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


def _address(value: str) -> str:
    """A self-hosted platform has addresses that no public rule allows (`ada@lab.local`), so the form is checked, no more."""
    if not _ADDRESS.fullmatch(value):
        raise ValueError("not an e-mail address")
    return one_line(value).lower()


def _valid_unicode(value: SecretStr) -> SecretStr:
    all_storable(value.get_secret_value())
    return value


Email = Annotated[str, AfterValidator(_address)]
Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$")]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(one_line)]
Password = Annotated[SecretStr, Field(min_length=8, max_length=1024), AfterValidator(_valid_unicode)]


class Registration(Body):
    email: Email
    username: Username
    password: Password
    full_name: PersonName = ""


class User(View):
    id: UUID
    email: str
    username: str
    full_name: str
    created_at: datetime


class Me(User):
    """The signed-in user, in the active workspace."""

    workspace_id: UUID
    role: Role

    @classmethod
    def of(cls, user: UserRow, who: Principal) -> "Me":
        plain = User.model_validate(user)
        return cls(**plain.model_dump(), workspace_id=who.workspace_id, role=who.role)


class Tokens(View):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind, not a secret
    expires_in: int


class RefreshToken(Body):
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    workspace_id: UUID | None = None


class ProfileChange(Body):
    """Fields that are left out stay as they are. A new password needs the current one."""

    full_name: PersonName | None = None
    password: Password | None = None
    current_password: Annotated[SecretStr, AfterValidator(_valid_unicode)] | None = None


class Workspace(View):
    id: UUID
    name: str
    personal: bool
    role: Role
    created_at: datetime

    @classmethod
    def of(cls, row: WorkspaceRow, role: str) -> "Workspace":
        return cls(id=row.id, name=row.name, personal=row.personal, role=Role(role), created_at=row.created_at)


class NewWorkspace(Body):
    name: Name


class Member(View):
    user_id: UUID
    email: str
    username: str
    full_name: str
    role: Role

    @classmethod
    def of(cls, row: MembershipRow, user: UserRow) -> "Member":
        return cls(
            user_id=user.id, email=user.email, username=user.username, full_name=user.full_name, role=Role(row.role)
        )


class NewMember(Body):
    email: Email
    role: Role = Role.USER


class RoleChange(Body):
    role: Role


class NewApiKey(Body):
    """`model_ids` empty means every model of the workspace."""

    name: Name
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = frozenset({Scope.PREDICT})
    model_ids: Annotated[list[UUID], Field(max_length=100)] = []
    expires_at: AwareDatetime | None = None


class ApiKey(View):
    id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: list[Scope]
    model_ids: list[UUID]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class CreatedApiKey(ApiKey):
    """`key` is shown in this answer and never again."""

    key: str
