"""Reads what a stack holds once it has come to rest: its database, its object folder, what it shows and what it counts."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.faults.checker import Facts
from tests.faults.cluster import Cluster, until
from tests.faults.workload import User

KINDS = "('profile', 'train')"
_JOBS = f"SELECT json_agg(json_build_object('id', id, 'state', state, 'kind', kind)) FROM jobs WHERE kind IN {KINDS}"
_PATHS = (
    "SELECT json_agg(json_build_object('job', job_id, 'state', data->>'state') ORDER BY seq) FROM job_events "
    f"WHERE kind = 'state' AND job_id IN (SELECT id FROM jobs WHERE kind IN {KINDS})"
)
_DATASETS = (
    "SELECT json_agg(json_build_object('id', d.id, 'name', d.name, 'job', v.job_id, 'ready', v.report IS NOT NULL)) "
    "FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id"
)
_MODELS = (
    "SELECT json_agg(json_build_object('name', m.name, 'job', v.job_id, 'ready', v.report IS NOT NULL)) "
    "FROM model_versions v JOIN models m ON m.id = v.model_id"
)
_NAMED = (
    "SELECT json_agg(key) FROM (SELECT raw_key AS key FROM dataset_versions UNION SELECT data_key FROM dataset_versions "
    "UNION SELECT preview_key FROM dataset_versions UNION SELECT package_key FROM model_versions "
    "UNION SELECT log_key FROM jobs) AS keys WHERE key IS NOT NULL"
)
_UNENDED = f"SELECT count(*) FROM jobs WHERE kind IN {KINDS} AND state IN ('waiting', 'queued', 'running')"
_GAUGE = re.compile(r'^mill_jobs\{kind="(\w+)",state="(\w+)"\} (\S+)$', re.MULTILINE)


def drain(cluster: Cluster, seconds: float) -> float:
    """Wait until no job is left; how long it took."""
    cluster.heal()
    cluster.ready()
    return until(lambda: cluster.query(_UNENDED) == 0, seconds, "every job has ended", every=0.5)


def read_facts(cluster: Cluster, users: Sequence[User]) -> Facts:
    jobs = {str(row["id"]): str(row["state"]) for row in rows(cluster, _JOBS)}
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows(cluster, _PATHS):
        paths[row["job"]].append(row["state"])
    datasets, models = rows(cluster, _DATASETS), rows(cluster, _MODELS)
    results: defaultdict[str, int] = defaultdict(int)
    for row in (*datasets, *models):
        results[row["job"]] += int(row["ready"])
    return Facts(
        jobs=jobs,
        paths=paths,
        subjects={row["job"]: row["name"] for row in (*datasets, *models)},
        results=results,
        stored=stored(users),
        named=frozenset(cluster.query(_NAMED) or []),
        objects=objects(cluster.home.objects),
        seen={user.name: seen(user) for user in users},
        counted=counted(cluster, jobs),
    )


def rows(cluster: Cluster, sql: str) -> list[dict[str, Any]]:
    return cluster.query(sql) or []


def stored(users: Sequence[User]) -> dict[str, str]:
    """The sha256 of every dataset that is listed, as a download gives it."""
    found: dict[str, str] = {}
    for user in users:
        for dataset in user.pages("/api/v1/datasets"):
            data = user.http.get(f"/api/v1/datasets/{dataset['id']}/download", timeout=30).raise_for_status().content
            found[dataset["name"]] = hashlib.sha256(data).hexdigest()
    return found


def seen(user: User) -> frozenset[str]:
    lists = ("/api/v1/jobs", "/api/v1/datasets", "/api/v1/models", "/api/v1/projects")
    return frozenset(row["id"] for path in lists for row in user.pages(path))


def objects(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".incoming" not in path.parts
    }


def counted(cluster: Cluster, jobs: dict[str, str]) -> dict[str, int]:
    """The gauges by state, of the kinds looked at; read until they are of the present, which takes up to their interval."""
    rows_by_state, found = dict(Counter(jobs.values())), dict[str, int]()

    def read() -> bool:
        found.clear()
        text = httpx.get(f"{cluster.api_url}/metrics", timeout=10).text
        for kind, state, number in _GAUGE.findall(text):
            if kind in KINDS and float(number):
                found[state] = found.get(state, 0) + int(float(number))
        return found == rows_by_state

    try:
        until(read, 25, "the gauges are of the present", every=1)
    except TimeoutError:
        return found
    return found
