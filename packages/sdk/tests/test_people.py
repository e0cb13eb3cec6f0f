"""Members, invitations, service accounts, keys and the audit log, by the client and by the command line."""

from pathlib import Path
from typing import Any

import pytest
from modelmill import Client, MemoryKeeper, Tokens
from modelmill.cli._app import build
from typer.testing import CliRunner

ADA = {"user_id": "u1", "email": "ada@lab.local", "username": "ada", "role": "admin"}
PROJECT = {"id": "p1", "name": "Census"}
LINE = {"id": "l1", "at": "2026-11-20T10:00:00Z", "action": "project.deleted", "subject": "project:p1", "user": "ada"}


@pytest.fixture
def key(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELMILL_CONFIG", str(tmp_path / "credentials.json"))
    monkeypatch.setenv("MODELMILL_URL", server.url)
    monkeypatch.setenv("MODELMILL_API_KEY", "mm_key")


def run(*words: str) -> str:
    done = CliRunner().invoke(build(), list(words))
    assert done.exit_code == 0, done.output
    return done.output


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


def asked(server: Any) -> list[tuple[str, str]]:
    return [(request.method, request.path.partition("?")[0]) for request in server.seen]


def test_a_member_is_removed_by_name(server: Any, key: None) -> None:
    server.answers(server.reply(200, page(ADA)), server.reply(204))
    assert "Removed ada" in run("members", "remove", "ada@lab.local")
    assert asked(server) == [("GET", "/api/v1/users"), ("DELETE", "/api/v1/users/u1")]


def test_an_invitation_shows_its_code_and_what_to_do_with_it(server: Any, key: None) -> None:
    made = {"id": "i1", "email": "bob@lab.local", "role": "user", "expires_at": "2026-11-27", "code": "invite-x"}
    server.answers(server.reply(201, made))
    shown = run("invitations", "create", "bob@lab.local", "--hours", "24")
    assert "modelmill register --email bob@lab.local --code invite-x" in shown
    assert server.seen[0].json() == {"email": "bob@lab.local", "role": "user", "expires_in_hours": 24}


def test_a_key_of_a_service_account(server: Any, key: None) -> None:
    account = {"id": "s1", "user_id": "u2", "name": "nightly", "role": "data_scientist"}
    server.answers(server.reply(200, page(account)), server.reply(201, {"id": "k1", "name": "ci", "key": "mm_secret"}))
    assert "mm_secret" in run("keys", "create", "ci", "--scope", "read", "--service-account", "nightly")
    assert server.seen[1].json() == {"name": "ci", "scopes": ["read"], "service_account_id": "s1"}


def test_the_audit_log_is_saved_as_csv_by_the_file_s_ending(server: Any, key: None, tmp_path: Path) -> None:
    server.answers(server.reply(200, b"id,at\n1,2\n"))
    run("audit", "export", str(tmp_path / "log.csv"), "--action", "project.deleted")
    assert (tmp_path / "log.csv").read_bytes() == b"id,at\n1,2\n"
    assert server.seen[0].path == "/api/v1/audit/export?format=csv&action=project.deleted"


def test_the_audit_log_is_listed(server: Any, key: None) -> None:
    server.answers(server.reply(200, page(LINE)))
    assert "project.deleted" in run("audit", "list", "--since", "2026-11-01T00:00:00Z")


def test_a_project_is_shared_handed_over_and_deleted_by_force(server: Any, key: None) -> None:
    def behave(request: Any) -> Any:
        path = request.path.partition("?")[0]
        known: dict[str, Any] = {"/api/v1/users": page(ADA), "/api/v1/projects": page(PROJECT)}
        named = {**ADA, "role": "viewer"} if "/members/" in path else PROJECT
        return server.reply(204) if request.method == "DELETE" else server.reply(200, known.get(path, named))

    server.behave = behave
    assert "viewer" in run("projects", "share", "Census", "ada", "viewer")
    run("projects", "hand-over", "Census", "ada")
    run("projects", "unshare", "Census", "ada")
    run("projects", "delete", "Census", "--yes", "--force")
    changes = [(request.method, request.path) for request in server.seen if request.method in {"PUT", "DELETE"}]
    assert changes == [
        ("PUT", "/api/v1/projects/p1/members/u1"),
        ("PUT", "/api/v1/projects/p1/owner"),
        ("DELETE", "/api/v1/projects/p1/members/u1"),
        ("DELETE", "/api/v1/projects/p1?force=true"),
    ]


def test_a_batch_prediction_is_deleted(server: Any, key: None) -> None:
    server.answers(server.reply(204))
    run("batches", "delete", "b1")
    assert asked(server) == [("DELETE", "/api/v1/batch-predictions/b1")]


def test_switching_works_with_the_tokens_of_the_other_workspace(server: Any) -> None:
    keeper = MemoryKeeper(Tokens("old", "refresh-old", 2_000_000_000.0))
    pair = {"access_token": "new", "refresh_token": "refresh-new", "expires_in": 900}
    server.answers(server.reply(200, {"workspace_id": "w2", "role": "user"}), server.reply(200, pair))
    with Client(server.url, keeper=keeper) as client:
        client.workspaces.switch(client.invitations.accept("invite-x"))
    assert server.seen[1].json() == {"refresh_token": "refresh-old", "workspace_id": "w2"}
    kept = keeper.load()
    assert kept is not None
    assert kept.access_token == "new"
    with Client(server.url, api_key="mm_key") as client, pytest.raises(ValueError, match="sign in"):
        client.workspaces.switch("w2")
