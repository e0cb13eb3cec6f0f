"""The command line: friendly to people, exact to programs, private with secrets."""

import json
from pathlib import Path
from typing import Any

import pytest
from modelmill.cli._app import build
from modelmill.cli._models import parse_parameters
from modelmill.cli._session import FileKeeper
from typer.testing import CliRunner, Result

MODEL = "019a0000-0000-7000-8000-000000000001"
PROJECT = {"id": "p1", "name": "Census", "description": "", "tags": ["demo"], "created_at": "2026-11-20T10:00:00Z"}
USER = {"id": "u", "email": "ada@lab.local", "username": "ada", "role": "admin"}
TOKENS = {"access_token": "access", "refresh_token": "refresh", "expires_in": 900}


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Any) -> Path:
    path = tmp_path / "config" / "credentials.json"
    monkeypatch.setenv("MODELMILL_CONFIG", str(path))
    monkeypatch.setenv("MODELMILL_URL", server.url)
    monkeypatch.delenv("MODELMILL_API_KEY", raising=False)
    monkeypatch.delenv("MODELMILL_SERVING_URL", raising=False)
    return path


@pytest.fixture
def key(credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_API_KEY", "mm_key")


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(build(), list(words), input=stdin)


def by_path(server: Any, bodies: dict[str, Any]) -> None:
    def behave(request: Any) -> Any:
        path = request.path.partition("?")[0]
        return server.reply(200 if path in bodies else 404, bodies.get(path, {"title": "Not found", "detail": path}))

    server.behave = behave


def test_login_keeps_the_tokens_in_a_file_for_their_owner_alone(server: Any, credentials: Path) -> None:
    by_path(server, {"/api/v1/auth/token": TOKENS, "/api/v1/auth/me": USER})
    done = run("login", "-u", "ada", "--password-stdin", "--serving-url", "http://s", stdin="secret words\n")
    assert done.exit_code == 0, done.output
    assert "ada@lab.local" in done.output
    assert "secret words" not in done.output
    assert credentials.stat().st_mode & 0o777 == 0o600
    kept = json.loads(credentials.read_text())
    assert (kept["url"], kept["serving_url"], kept["tokens"]["refresh_token"]) == (server.url, "http://s", "refresh")
    assert "secret words" not in credentials.read_text()


def test_logout_forgets_the_tokens_here_and_there(server: Any, credentials: Path) -> None:
    by_path(server, {"/api/v1/auth/token": TOKENS, "/api/v1/auth/me": USER, "/api/v1/auth/logout": {}})
    run("login", "-u", "ada", "--password-stdin", stdin="secret words\n")
    assert run("logout").exit_code == 0
    assert server.seen[-1].json() == {"refresh_token": "refresh"}
    assert FileKeeper(credentials).load() is None
    refused = run("whoami")
    assert refused.exit_code == 1
    assert "modelmill login" in refused.output


def test_a_damaged_credentials_file_means_signed_out(credentials: Path) -> None:
    credentials.parent.mkdir()
    credentials.write_text("{broken")
    assert FileKeeper(credentials).load() is None


@pytest.mark.usefixtures("key")
def test_every_list_is_a_table_for_people_and_json_for_programs(server: Any) -> None:
    by_path(server, {"/api/v1/projects": {"items": [PROJECT], "next_cursor": None}})
    assert "Census" in run("projects", "list").output
    assert json.loads(run("projects", "list", "--json").output) == [PROJECT]


@pytest.mark.usefixtures("key")
def test_a_table_keeps_ids_and_names_whole(server: Any) -> None:
    wide = {**PROJECT, "id": "0199b2c4-1111-7222-8333-0123456789ab", "name": "A long name " * 12 + "ends"}
    by_path(server, {"/api/v1/projects": {"items": [wide], "next_cursor": None}})
    lines = run("projects", "list").output.splitlines()
    assert len(lines) == 2
    assert str(wide["id"]) in lines[1]
    assert str(wide["name"]) in lines[1]


@pytest.mark.usefixtures("key")
def test_a_refusal_is_one_message_and_a_failing_exit_code(server: Any) -> None:
    errors = [{"pointer": "/name", "detail": "too long"}]
    server.answers(server.reply(422, {"type": "urn:modelmill:problem:invalid", "title": "Not valid", "errors": errors}))
    done = run("projects", "create", "x")
    assert done.exit_code == 1
    assert "/name: too long" in done.output
    assert "Traceback" not in done.output
    as_json = run("projects", "create", "x", "--json")
    assert json.loads(as_json.stderr)["errors"] == errors


@pytest.mark.usefixtures("key")
def test_a_server_that_is_away_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_URL", "http://127.0.0.1:1")
    done = run("whoami")
    assert done.exit_code == 1
    assert "modelmill up" in done.output


@pytest.mark.usefixtures("key")
def test_predict_takes_features_as_words_or_a_file(server: Any, tmp_path: Path) -> None:
    by_path(server, {"/api/v1/predictions": {"output": {"prediction": "yes", "confidence_score": 0.75}}})
    assert "yes  (confidence 0.7500)" in run("predict", "m", "age=39", "job=null", "name=Ada").output
    assert server.seen[-1].json()["input_data"] == {"age": 39, "job": None, "name": "Ada"}
    rows = tmp_path / "rows.json"
    rows.write_text('[{"age": 1}, {"age": 2}]')
    assert len(json.loads(run("predict", "m", "--file", str(rows), "--json").output)) == 2


@pytest.mark.usefixtures("key")
def test_deleting_says_what_goes_with_it_and_asks(server: Any) -> None:
    by_path(
        server,
        {
            "/api/v1/projects": {"items": [PROJECT], "next_cursor": None},
            "/api/v1/projects/p1/deletion": {"contents": {"datasets": 2, "models": 1}},
        },
    )
    asked = run("projects", "delete", "Census", stdin="n\n")
    assert "2 datasets, 1 models" in asked.output
    assert asked.exit_code == 1
    assert all(request.method == "GET" for request in server.seen)


def test_parameters_are_json_where_they_are_json() -> None:
    parsed = parse_parameters(["n=3", "rate=0.5", "flag=true", "name=gini", "layers=[4, 2]", "odd=a=b"])
    assert parsed == {"n": 3, "rate": 0.5, "flag": True, "name": "gini", "layers": [4, 2], "odd": "a=b"}
    with pytest.raises(ValueError, match="name=value"):
        parse_parameters(["n"])


def test_commands_of_other_packages_plug_in() -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in build().registered_commands}
    assert {"up", "down", "status", "logs", "login", "train"} <= names


@pytest.mark.usefixtures("key")
def test_a_deploy_says_what_becomes_of_values_that_do_not_fit(server: Any) -> None:
    model = {"id": MODEL, "name": "survival", "status": "trained", "version": 1, "project_id": "p1"}
    policy = {"extra": "ignore", "missing": "impute", "unseen": "accept"}
    live = {"id": "d", "model_id": MODEL, "model_name": "survival", "status": "deployed", "version": 1, "public": False}
    deployment: dict[str, Any] = {
        **live,
        "waiting_for": None,
        "policy": policy,
        "predict_path": f"/predict/{MODEL}",
        "replicas": [],
    }
    address = f"/api/v1/models/{MODEL}"
    by_path(server, {address: model, f"{address}/deploy": deployment, f"{address}/deployment": deployment})
    done = run("deploy", MODEL, "--missing", "impute", "--extra", "ignore")
    assert done.exit_code == 0, done.output
    sent = next(request for request in server.seen if request.path.endswith("/deploy")).json()
    assert sent["policy"] == {"missing": "impute", "extra": "ignore", "unseen": None}
    assert '"missing": "impute"' in done.output
    assert run("deploy", MODEL, "--unseen", "guess").exit_code == 2


@pytest.mark.usefixtures("key")
def test_a_profile_is_shown_once_it_is_written(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_SERVING_URL", server.url)
    slow = {"function": "mill_pack/package.py:120 predict_one", "calls": 1, "own_ms": 0.25, "total_ms": 0.5}
    record = {"transaction_id": "t-1", "latency_ms": 0.9, "inference_ms": 0.5, "cpu_ms": 0.5, "function_calls": 12}
    answers = [
        server.reply(200, {"prediction": "no", "metadata": {"request_id": "t-1"}}),
        server.reply(404, {"title": "Nothing is recorded", "type": "urn:modelmill:problem:no-such-record"}),
        server.reply(200, {**record, "top_functions": [slow]}),
    ]

    def behave(_request: Any) -> Any:
        return answers.pop(0)

    server.behave = behave
    done = run("profile", "survival", "age=22")
    assert done.exit_code == 0, done.output
    asked, *looked = server.seen
    assert (asked.path, asked.headers["x-profile"]) == ("/predict/survival", "1")
    assert [request.path for request in looked] == ["/performance/t-1"] * 2
    assert "transaction_id" in done.output
    assert "predict_one" in done.output


@pytest.mark.usefixtures("key")
def test_a_profile_needs_the_address_of_ml_service() -> None:
    refused = run("profile", "survival", "age=22")
    assert refused.exit_code != 0
    assert "serving_url" in refused.output


@pytest.mark.usefixtures("key")
def test_usage_shows_what_there_is_of_what_may_be(server: Any) -> None:
    amounts = {
        "bytes": {"used": 4_301_211, "limit": 107_374_182_400},
        "models": {"used": 2, "limit": 1000},
        "running_jobs": {"used": 0, "limit": 4},
        "predictions_per_day": {"used": 12, "limit": None},
    }
    by_path(server, {"/api/v1/usage": amounts})
    shown = run("usage")
    assert shown.exit_code == 0, shown.output
    assert [line.split() for line in shown.output.splitlines()] == [
        ["bytes", "4,301,211", "of", "107,374,182,400"],
        ["models", "2", "of", "1,000"],
        ["running_jobs", "0", "of", "4"],
        ["predictions_per_day", "12", "no", "limit"],
    ]
    assert json.loads(run("usage", "--json").output) == amounts
