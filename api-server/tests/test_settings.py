"""Settings come from the environment; what is missing or weak is named, and no message repeats a secret."""

import re

import pytest
from mill_api.settings import MigrationSettings, Settings
from pydantic import ValidationError

STRONG = "c3f1b0a85d7e4f6692"
GOOD = {
    "MILL_DATABASE__URL": f"postgresql://mill_app:{STRONG}@db/modelmill",
    "MILL_DATABASE__SYSTEM_URL": f"postgresql://mill_system:{STRONG}@db/modelmill",
    "MILL_BROKER__URL": f"redis://:{STRONG}@broker:6379/0",
    "MILL_CACHE__URL": f"redis://:{STRONG}@cache:6379/0",
    "MILL_STORE__URL": "s3://minio:9000/modelmill?secure=false",
    "MILL_STORE__ACCESS_KEY": "k4f7a1",
    "MILL_STORE__SECRET_KEY": STRONG,
    "MILL_TOKENS__PRIVATE_KEY_FILE": "/keys/tokens.pem",
    "MILL_PUBLISH__PRIVATE_KEY_FILE": "/keys/publish.pem",
    "MILL_SERVING__URL": "http://ml-service:8001",
}


@pytest.fixture(autouse=True)
def _no_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("MILL_")]:
        monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> Settings:
    for name, value in (GOOD | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    return Settings()  # pyright: ignore[reportCallIssue] - filled from the environment


def test_production_is_the_default_and_needs_no_more_than_this(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, MILL_WORKER__CONCURRENCY="3")
    assert settings.environment == "production"
    assert settings.worker.concurrency == 3
    assert STRONG not in repr(settings)


@pytest.mark.parametrize("name", sorted(name for name in GOOD if not name.startswith("MILL_STORE__")))
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(ValidationError) as error:
        load(monkeypatch, **{name: None})
    section, _, _ = name.removeprefix("MILL_").lower().partition("__")
    assert any(item["loc"][0] == section for item in error.value.errors())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MILL_DATABASE__URL", "postgresql://mill_app:password1234567@db/x"),
        ("MILL_DATABASE__SYSTEM_URL", "postgresql://mill_system@db/x"),
        ("MILL_DATABASE__OWNER_URL", "postgresql://mill_owner:short@db/x"),
        ("MILL_BROKER__URL", "redis://broker:6379/0"),
        ("MILL_CACHE__URL", "redis://:changeme-changeme@cache:6379/0"),
        ("MILL_STORE__SECRET_KEY", "minioadmin"),
    ],
)
def test_a_weak_secret_refuses_to_start_in_production_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(name)) as error:
        load(monkeypatch, **{name: value})
    assert value not in str(error.value)
    assert load(monkeypatch, **{name: value, "MILL_ENVIRONMENT": "development"})


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    with pytest.raises(ValidationError):
        settings.database.pool_size = 3


def test_a_migration_needs_the_owner_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILL_DATABASE__OWNER_URL", f"postgresql://mill_owner:{STRONG}@db/modelmill")
    assert MigrationSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
