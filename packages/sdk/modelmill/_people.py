"""Views of people, of what stands in for them, and of what they did. Used by the resources of access."""

from dataclasses import dataclass, field
from typing import Any

from modelmill._types import View


@dataclass(frozen=True)
class Member(View):
    user_id: str
    email: str
    username: str
    role: str
    full_name: str = ""


@dataclass(frozen=True)
class Invitation(View):
    """`code` is there only in the answer that made it: hand it to the invited person."""

    id: str
    email: str
    role: str
    expires_at: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Workspace(View):
    id: str
    name: str
    role: str
    personal: bool = False
    owner_id: str | None = None


@dataclass(frozen=True)
class ServiceAccount(View):
    """`user_id` is how the audit log and its keys name it."""

    id: str
    user_id: str
    name: str
    role: str
    description: str = ""


@dataclass(frozen=True)
class ProjectMember(View):
    user_id: str
    username: str
    email: str
    role: str


@dataclass(frozen=True)
class AuditLine(View):
    """`details` hold what was before and after."""

    id: str
    at: str
    action: str
    subject: str
    user: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    request_id: str | None = None
    address: str | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
