"""What access takes and gives over HTTP. An unknown field, such as a `role` at registration, is refused."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from mill_contracts.tokens import Role, Scope
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from mill_api.access.password_rules import LONGEST, SHORTEST
from mill_api.access.principal import Principal
from mill_api.access.tables import AuditRow, MembershipRow, ServiceAccountRow, UserRow, WorkspaceRow
from mill_api.texts import Name, all_storable, one_line

_ANY_DOMAIN = ".org"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


def _address(value: str) -> str:
    """By the rules for addresses, but in any domain: a self-hosted platform has some that the public internet has not.

    `ada@lab.local` is therefore looked at as if the domain went on.
    """
    try:
        checked = validate_email(one_line(value) + _ANY_DOMAIN, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(f"not an e-mail address: {error}") from None
    return checked.normalized.removesuffix(_ANY_DOMAIN).lower()


def _valid_unicode(value: SecretStr) -> SecretStr:
    all_storable(value.get_secret_value())
    return value


Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$")]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(one_line)]
Password = Annotated[SecretStr, Field(min_length=SHORTEST, max_length=LONGEST), AfterValidator(_valid_unicode)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(one_line)]


class Registration(Body):
    """`code` is an invitation's, or the one that the first start of a server prints; where registration is open it may be left out."""

    email: Email
    username: Username
    password: Password
    full_name: PersonName = ""
    code: Code | None = None


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
    owner_id: UUID | None
    created_at: datetime

    @classmethod
    def of(cls, row: WorkspaceRow, role: str) -> "Workspace":
        return cls(
            id=row.id,
            name=row.name,
            personal=row.personal,
            role=Role(role),
            owner_id=row.owner_id,
            created_at=row.created_at,
        )


class NewWorkspace(Body):
    name: Name


class NewOwner(Body):
    """A member who becomes the owner."""

    user_id: UUID


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


class NewInvitation(Body):
    """An earlier open invitation for the same address ends."""

    email: Email
    role: Role = Role.USER
    expires_in_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24 * 7


class Invitation(View):
    id: UUID
    email: str
    role: Role
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime


class CreatedInvitation(Invitation):
    """`code` is shown in this answer and never again: hand it to the invited person."""

    code: str


class AcceptedInvitation(Body):
    code: Code


class Joined(View):
    """Refresh with this `workspace_id` to work there."""

    workspace_id: UUID
    role: Role


ServiceRole = Literal[Role.USER, Role.DATA_SCIENTIST]


class NewServiceAccount(Body):
    """A service account manages no members, so it is no admin."""

    name: Name
    description: Annotated[str, StringConstraints(max_length=1000), AfterValidator(one_line)] = ""
    role: ServiceRole = Role.USER


class ServiceAccountChange(Body):
    """Fields that are left out stay as they are."""

    name: Name | None = None
    description: Annotated[str, StringConstraints(max_length=1000), AfterValidator(one_line)] | None = None
    role: ServiceRole | None = None


class ServiceAccount(View):
    """`user_id` is what the account is called in the audit log and as the owner of its keys."""

    id: UUID
    user_id: UUID
    name: str
    description: str
    role: Role
    created_at: datetime

    @classmethod
    def of(cls, row: ServiceAccountRow, membership: MembershipRow) -> "ServiceAccount":
        return cls(
            id=row.id,
            user_id=row.user_id,
            name=row.name,
            description=row.description,
            role=Role(membership.role),
            created_at=row.created_at,
        )


class NewApiKey(Body):
    """`model_ids` empty means every model of the workspace. With `service_account_id` the key is that account's, not yours."""

    name: Name
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = frozenset({Scope.PREDICT})
    model_ids: Annotated[list[UUID], Field(max_length=100)] = []
    expires_at: AwareDatetime | None = None
    service_account_id: UUID | None = None


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


class AuditLine(View):
    """`user` is the username as of now; `details` hold what was before and after."""

    id: UUID
    at: datetime
    user_id: UUID | None
    user: str | None
    key_id: UUID | None
    action: str
    subject: str
    details: dict[str, Any]
    request_id: str | None
    address: str | None

    @classmethod
    def of(cls, row: AuditRow, user: str | None) -> "AuditLine":
        return cls(
            id=row.id,
            at=row.at,
            user_id=row.user_id,
            user=user,
            key_id=row.key_id,
            action=row.action,
            subject=row.subject,
            details=row.details,
            request_id=row.request_id,
            address=row.address,
        )
