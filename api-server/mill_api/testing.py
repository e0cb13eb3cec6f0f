"""Helpers for the tests of every domain: settings of a throw-away installation, and people who sign in. Not used by the product."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from httpx import AsyncClient
from mill_contracts.tokens import Role
from mill_kit.signing import new_key_pair

from mill_api.settings import Settings

PASSWORD = "correct horse battery"  # noqa: S105 - of people who live for one test


@dataclass(frozen=True)
class Person:
    """A registered user in one workspace; `headers` sign their requests."""

    id: UUID
    email: str
    username: str
    workspace_id: UUID
    access_token: str
    refresh_token: str
    password: str = PASSWORD

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


async def register(client: AsyncClient, name: str = "person") -> Person:
    """A new user, signed in to the personal workspace whose admin they are."""
    username = f"{name}-{secrets.token_hex(4)}"
    wanted = {"email": f"{username}@example.com", "username": username, "password": PASSWORD, "full_name": name.title()}
    answer = await client.post("/api/v1/auth/register", json=wanted)
    assert answer.status_code == 201, answer.text  # noqa: S101
    return await sign_in(client, username)


async def sign_in(client: AsyncClient, username: str, workspace: UUID | None = None) -> Person:
    form = {"username": username, "password": PASSWORD} | ({"workspace": str(workspace)} if workspace else {})
    answer = await client.post("/api/v1/auth/token", data=form)
    assert answer.status_code == 200, answer.text  # noqa: S101
    tokens = answer.json()
    me = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    who = me.json()
    return Person(
        id=UUID(who["id"]),
        email=who["email"],
        username=who["username"],
        workspace_id=UUID(who["workspace_id"]),
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
    )


async def invite(client: AsyncClient, admin: Person, role: Role, name: str = "colleague") -> Person:
    """A new user who is a member of the admin's workspace, signed in to it."""
    person = await register(client, name)
    answer = await client.post("/api/v1/users", json={"email": person.email, "role": role.value}, headers=admin.headers)
    assert answer.status_code == 201, answer.text  # noqa: S101
    return await sign_in(client, person.username, admin.workspace_id)


def settings_for(folder: Path, *, app_url: str, system_url: str, redis_url: str) -> Settings:
    """Settings of an api-server on throw-away parts; keys and objects lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokens", "publish"):
        (folder / f"{name}.pem").write_text(new_key_pair().private_pem)
    return Settings.model_validate(
        {
            "environment": "test",
            "database": {"url": app_url, "system_url": system_url},
            "broker": {"url": redis_url},
            "cache": {"url": redis_url},
            "store": {"url": f"file://{folder / 'objects'}"},
            "tokens": {"private_key_file": folder / "tokens.pem"},
            "access": {"registration": "open"},
            "publish": {"private_key_file": folder / "publish.pem"},
            "serving": {"url": "http://127.0.0.1:9"},
            "worker": {"scratch_dir": folder / "scratch"},
            "limits": {"enabled": False},
        }
    )
