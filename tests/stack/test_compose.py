"""The compose file keeps its promises: no default secret, two doors, no root, walls between the networks."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

Services = dict[str, dict[str, Any]]

DATA = {"postgres", "broker", "cache", "minio"}
OURS = {"modelmill/api-server", "modelmill/worker", "modelmill/ml-service"}
SECRET_WORDS = ("PASSWORD", "SECRET", "ACCESS_KEY", "ENCRYPTION_KEY")
ROOT_ALLOWED = {"vector": "Docker's log files belong to root; it holds DAC_READ_SEARCH and nothing else"}
WRITABLE_ALLOWED = {"elasticsearch", "kibana"}


def variables(root: Path) -> list[tuple[str, str]]:
    """Each `${NAME…}` of the compose file, with what follows the name."""
    text = re.sub(r"\$\$", "", (root / "docker-compose.yml").read_text())
    found = re.findall(r"\$\{([A-Z0-9_]+)([^}]*)\}", text)
    assert found
    return found


def test_no_secret_has_a_default_and_an_empty_one_is_refused(root: Path) -> None:
    for name, rest in variables(root):
        if any(word in name for word in SECRET_WORDS) or name == "MILL_USER":
            assert rest.startswith(":?"), f"{name} must be ${{{name}:?…}}"


def test_no_password_is_written_down(root: Path, services: Services) -> None:
    for name, service in services.items():
        for key, value in service.get("environment", {}).items():
            if any(word in key for word in SECRET_WORDS):
                assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]*\}", str(value)), f"{name}.{key}"
            for url_password in re.findall(r"://[^/@\s]*:([^@\s]+)@", str(value)):
                assert url_password.startswith("${"), f"{name}.{key}"


def test_every_variable_is_explained_in_the_example(root: Path) -> None:
    example = (root / ".env.example").read_text()
    told = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", example, flags=re.MULTILINE))
    used = dict(variables(root))
    assert set(used) == set(told)
    for name, rest in used.items():
        if rest.startswith(":-"):
            assert told[name] == rest[2:], f"{name} has one default in .env.example and another in docker-compose.yml"


def test_the_example_holds_no_usable_secret(root: Path) -> None:
    for line in (root / ".env.example").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and any(word in name for word in SECRET_WORDS):
            assert value == "", name


def test_only_the_edge_and_the_consoles_of_this_machine_are_published(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"nginx", "flower", "grafana", "prometheus", "alertmanager", "kibana"}
    for name, ports in published.items():
        for port in ports:
            default = re.fullmatch(r"\$\{[A-Z_]+:-([^}]+)\}:\d+", port)
            assert default, f"{name}: {port}"
            if name != "nginx":
                assert default[1].startswith("127.0.0.1:"), f"{name}: {port}"


def test_every_service_runs_as_an_ordinary_user_with_nothing_it_does_not_need(services: Services) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["cpus"], name
        assert {"max-size", "max-file"} <= set(service["logging"]["options"]), name
        assert service["read_only"] or name in WRITABLE_ALLOWED, name
        if name not in ROOT_ALLOWED:
            assert not re.match(r"(0|root)(:|$)", service["user"]), name
            assert "cap_add" not in service, name


def test_nobody_is_given_the_docker_socket(root: Path) -> None:
    assert "docker.sock" not in (root / "docker-compose.yml").read_text()


def test_services_can_be_scaled_and_run_on_compose_1_29(compose: dict[str, Any], services: Services) -> None:
    assert not {"name", "include"} & set(compose)
    for name, service in services.items():
        assert "container_name" not in service, name
        depends = service.get("depends_on", {})
        assert all(set(condition) == {"condition"} for condition in depends.values()), name
    assert "ports" not in services["ml-service"]
    assert services["ml-service"]["scale"] == 2
    assert all("volumes" not in one or ":" not in one["volumes"][0] for one in [services["ml-service"]])


def test_whatever_runs_for_long_is_watched(services: Services) -> None:
    once = {"migrate", "object-volume", "elasticsearch-users"}
    optional = {name for name, service in services.items() if service.get("profiles")}
    for name in set(services) - once - optional:
        assert services[name].get("healthcheck", {}).get("test"), name


def networks(service: dict[str, Any]) -> set[str]:
    return set(service.get("networks", []))


def test_the_data_cannot_be_reached_from_the_edge(compose: dict[str, Any], services: Services) -> None:
    edge = networks(services["nginx"])
    for name in DATA | {"worker-ml", "worker-data", "flower", "elasticsearch"}:
        assert not edge & networks(services[name]), name
    doors = {name for name, network in compose["networks"].items() if not network.get("internal")}
    assert doors == {"edge", "consoles"}
    assert {name for name, service in services.items() if "edge" in networks(service)} == {"nginx"}
    for name in DATA | {"api-server", "ml-service", "worker-ml", "worker-data", "migrate"}:
        assert not doors & networks(services[name]), f"{name} has a way out"


def test_the_data_plane_reaches_neither_database_nor_broker(services: Services) -> None:
    serving = networks(services["ml-service"])
    assert not serving & networks(services["postgres"])
    assert not serving & networks(services["broker"])


@pytest.mark.parametrize(
    ("variable", "holders"),
    [
        ("MILL_OWNER_PASSWORD", {"postgres", "migrate"}),
        ("POSTGRES_PASSWORD", {"postgres"}),
        ("MILL_APP_PASSWORD", {"postgres", "api-server", "worker-ml", "worker-data"}),
        ("MILL_FLOWER_PASSWORD", {"flower"}),
    ],
)
def test_a_password_is_told_to_those_who_need_it(services: Services, variable: str, holders: set[str]) -> None:
    told = {name for name, one in services.items() if f"${{{variable}:" in str(one.get("environment", {}))}
    assert told == holders


def test_signing_keys_are_files_and_the_api_server_alone_holds_the_private_ones(
    compose: dict[str, Any], services: Services
) -> None:
    private = {name for name, secret in compose["secrets"].items() if secret["file"].endswith(".key.pem")}
    assert private == {"tokens_key", "publish_key"}
    assert {name for name, service in services.items() if private & set(service.get("secrets", []))} == {"api-server"}


def test_broker_and_cache_are_two(root: Path, services: Services) -> None:
    script = (root / "deploy/valkey.sh").read_text()
    assert services["broker"]["command"] == ["broker"]
    assert services["cache"]["command"] == ["cache"]
    assert re.search(r'broker\).*"maxmemory-policy noeviction" "appendonly yes"', script)
    assert re.search(r'cache\).*"maxmemory-policy allkeys-lru"', script)


def test_what_is_mounted_exists(root: Path, services: Services) -> None:
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (root / source).exists(), f"{name}: {source}"
                assert volume.endswith(":ro"), f"{name}: {volume}"


def test_traces_switch_on_every_service_that_follows_work_and_publish_nothing(root: Path, services: Services) -> None:
    overlay = yaml.safe_load((root / "deploy" / "traces.yml").read_text())
    ours = {name for name, one in services.items() if one["image"].partition(":")[0] in OURS}
    assert set(overlay["services"]) == ours - {"migrate", "flower", "object-volume"}
    for one in overlay["services"].values():
        assert set(one) == {"networks", "environment"}
        assert one["networks"] == ["traces"]
        assert one["environment"]["MILL_TELEMETRY__ENABLED"] == "true"
