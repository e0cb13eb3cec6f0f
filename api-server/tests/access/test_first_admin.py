"""The first administrator: from the settings or by a one-time code, and only while nobody is registered."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from mill_api.access.errors import WeakPassword
from mill_api.access.first_admin import BadFirstAdmin, print_new_code
from mill_api.app import create_app
from mill_api.settings import AccessSettings, Settings
from mill_api.testing import PASSWORD, settings_for
from mill_local.testing import DatabaseMaker, TestDatabase
from mill_local.valkey import ValkeyServer
from pydantic import ValidationError

REGISTER = "/api/v1/auth/register"
WANTED = {"email": "first@example.com", "username": "first", "password": PASSWORD}
SettingsMaker = Callable[..., Settings]


@pytest.fixture
def installation(
    fresh_database: DatabaseMaker, migrated_template: TestDatabase, valkey_server: ValkeyServer, tmp_path: Path
) -> SettingsMaker:
    """Settings of a new installation where nobody is registered."""
    made = fresh_database(template=migrated_template.name)

    def settings(**access: Any) -> Settings:
        plain = settings_for(tmp_path, app_url=made.app_url, system_url=made.system_url, redis_url=valkey_server.url)
        return plain.model_copy(update={"access": AccessSettings(**access)})

    return settings


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[AsyncClient]:
    app = create_app(settings)
    async with (
        LifespanManager(app, startup_timeout=30, shutdown_timeout=30),
        AsyncClient(transport=ASGITransport(app), base_url="http://new.test") as client,
    ):
        yield client


def code_in(printed: str) -> str:
    return next(word for word in printed.split() if word.startswith("setup-") and len(word) > 20)


async def test_a_new_server_lets_nobody_in_but_with_the_code_it_prints(
    installation: SettingsMaker, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(installation()) as client:
        code = code_in(capfd.readouterr().err)
        closed = await client.post(REGISTER, json=WANTED)
        assert (closed.status_code, closed.json()["type"].rpartition(":")[2]) == (403, "registration-closed")
        guessed = await client.post(REGISTER, json=WANTED | {"code": "setup-guess"})
        assert (guessed.status_code, guessed.json()["type"].rpartition(":")[2]) == (403, "invalid-code")
        tries = [WANTED | {"code": code, "username": f"first{n}", "email": f"first{n}@example.com"} for n in range(5)]
        answers = await asyncio.gather(*(client.post(REGISTER, json=one) for one in tries))
        assert sorted(answer.status_code for answer in answers) == [201] + [403] * 4, "the code works once"
    async with running(installation()) as client:
        assert "setup-" not in capfd.readouterr().err, "somebody is registered"


async def test_a_lost_code_is_replaced_by_command(
    installation: SettingsMaker, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = installation()
    async with running(settings) as client:
        first = code_in(capfd.readouterr().err)
        async with running(settings):
            assert "setup-" not in capfd.readouterr().err, "a second server does not print another"
        assert await print_new_code(settings.database.url.get_secret_value(), settings.access) == 0
        second = code_in(capfd.readouterr().out)
        assert (await client.post(REGISTER, json=WANTED | {"code": first})).status_code == 403
        assert (await client.post(REGISTER, json=WANTED | {"code": second})).status_code == 201
        assert await print_new_code(settings.database.url.get_secret_value(), settings.access) == 1


async def test_the_settings_may_name_the_first_administrator(
    installation: SettingsMaker, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = installation(admin_email="root@lab.local", admin_password="plenty of words here")
    for _ in range(2):  # the second start finds somebody there
        async with running(settings) as client:
            assert "setup-" not in capfd.readouterr().err
            form = {"username": "root@lab.local", "password": "plenty of words here"}
            assert (await client.post("/api/v1/auth/token", data=form)).status_code == 200


@pytest.mark.parametrize(
    ("email", "password"),
    [("root@lab.local", "admin"), ("root@lab.local", "administrator"), ("nobody", "plenty of words here")],
)
async def test_a_weak_first_administrator_stops_the_start(
    installation: SettingsMaker, email: str, password: str
) -> None:
    with pytest.raises((BadFirstAdmin, WeakPassword)):
        async with running(installation(admin_email=email, admin_password=password)):
            pass


def test_an_address_without_a_password_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="ADMIN_PASSWORD"):
        AccessSettings(admin_email="root@lab.local")
    assert AccessSettings().registration == "invited", "the default is the safe one"
