"""Promises 13 and 14: uploads through aborts, kills and a full disk; and objects whose bytes change where they lie."""

import hashlib
import os
import random
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from mill_kit.store.folder import FileStore
from mill_local.care.database import DatabaseAddress
from mill_local.care.doctor import objects as examine_objects
from mill_local.care.inventory import Named, named_objects
from mill_local.postgres import SUPERUSER, PostgresServer

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset, state
from tests.faults.experiments.drill import quiet
from tests.faults.facts import drain, stored
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

DISK_BYTES = 96 * 2**20
THREADS = 4


@dataclass(frozen=True)
class Sent:
    name: str
    sha256: str
    outcome: str
    """The status, or why there was none."""


@contextmanager
def small_disk(folder: Path) -> Generator[bool]:
    """A file system of its own for the objects, so that it can be filled; False where one may not be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)  # noqa: S607 - the system's own


def uploads(course: Course) -> list[Result]:
    trial, trials = Trial(course, 13, "aborts, kills, a full disk"), course.trials(13, least=16)
    folder = course.folder / "uploads"
    sent: list[Sent] = []
    harmed: Counter[str] = Counter()
    stop = threading.Event()
    with small_disk(folder / "home" / "objects") as mounted, cluster(folder, proxied=False) as running:
        users = [User.register(running.api_url, f"uploader{number}") for number in range(THREADS)]
        senders = [
            threading.Thread(target=send, args=(user, trials // THREADS, course.random(user.name), sent))
            for user in users
        ]
        nemesis = threading.Thread(
            target=harm, args=(running, course.random("uploads"), stop, harmed, folder if mounted else None)
        )
        for thread in (*senders, nemesis):
            thread.start()
        for thread in senders:
            thread.join()
        stop.set()
        nemesis.join()
        drain(running, 600)
        found = stored(users)
    acknowledged = {one.name: one.sha256 for one in sent if one.outcome == "201"}
    refused = {one.name for one in sent if one.outcome.startswith(("4", "5")) or one.outcome == "left"}
    broken = [name for name, digest in acknowledged.items() if found.get(name) != digest]
    listed = sorted(refused & found.keys())
    outcomes = Counter(one.outcome for one in sent)
    figures: dict[str, Figure] = {
        "acknowledged": len(acknowledged),
        "not as sent": len(broken),
        "refused or left, and listed": len(listed),
        "outcomes": ", ".join(f"{outcome} × {number}" for outcome, number in sorted(outcomes.items())),
        "faults": ", ".join(f"{name} × {number}" for name, number in sorted(harmed.items())),
    }
    notes = (
        "The disk is a small file system filled to the last byte."
        if mounted
        else "No disk could be mounted: file size limits stand in."
    )
    return [trial.result(len(sent), len(broken) + len(listed), figures, notes)]


def send(user: User, number: int, chance: random.Random, sent: list[Sent]) -> None:
    """Tables of a few kilobytes to a megabyte; a fifth of the clients leave in the middle."""
    for place in range(number):
        data = table(chance, chance.choice((20, 200, 2_000, 40_000)))
        name, digest = f"{user.name}-{place}", hashlib.sha256(data).hexdigest()
        if chance.random() < 0.2:
            leave(user, name, data[: chance.randrange(1, len(data))], len(data))
            sent.append(Sent(name, digest, "left"))
            continue
        sent.append(Sent(name, digest, outcome(user, name, data)))


def outcome(user: User, name: str, data: bytes) -> str:
    """The status, or why there was none. What could not even be sent is sent again: it is no trial."""
    while True:
        try:
            return str(user.upload(name, data).status_code)
        except httpx.ConnectError:
            time.sleep(0.3)
        except httpx.HTTPError as error:
            return type(error).__name__


def leave(user: User, name: str, part: bytes, announced: int) -> None:
    """Announce a whole upload, send a part of it, cut the line."""
    address, mark = urlsplit(str(user.http.base_url)), "q" * 20
    fields = {"name": name, "project_id": user.project}
    form = "".join(
        f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()
    )
    form += f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}.csv"\r\n\r\n'
    head = (
        f"POST /api/v1/datasets HTTP/1.1\r\nHost: x\r\nX-API-Key: {user.http.headers['X-API-Key']}\r\n"
        f"Content-Type: multipart/form-data; boundary={mark}\r\nContent-Length: {len(form) + announced + len(mark) + 8}\r\n\r\n"
    )
    try:
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as line:
            line.sendall((head + form).encode() + part)
    except OSError:
        return


def harm(running: Cluster, chance: random.Random, stop: threading.Event, done: Counter[str], disk: Path | None) -> None:
    while not stop.wait(chance.uniform(3, 8)):
        if chance.random() < 0.5:
            running.kill("api-server")
            done["kill -9 api-server"] += 1
        elif disk is not None:
            fill(running.home.objects / ".filler", stop, chance.uniform(1, 3))
            done["disk full"] += 1
        else:
            running.limit_files("api-server", 0)
            stop.wait(chance.uniform(1, 3))
            running.limit_files("api-server", None)
            done["no file may grow"] += 1


def fill(path: Path, stop: threading.Event, seconds: float) -> None:
    """Take the last byte of the file system, and give it back."""
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**16))
    except OSError:
        stop.wait(seconds)
    finally:
        path.unlink(missing_ok=True)


def corruption(course: Course) -> list[Result]:
    """One byte of a stored object is flipped; a client asks for it, the doctor looks; then it is flipped back."""
    trial, chance, trials = Trial(course, 14, "one flipped byte"), course.random("flips"), course.trials(14, least=2)
    unread: list[str] = []
    unnamed: list[str] = []
    kinds: Counter[str] = Counter()
    with cluster(course.folder / "flips", proxied=False) as running:
        user = User.register(running.api_url, "keeper", 30)
        reads = things(running, user, course)
        store = FileStore(running.home.objects)
        while sum(kinds.values()) < trials:
            batch = chance.sample(sorted(reads), min(len(reads), 10, trials - sum(kinds.values())))
            damage = {key: flip(running.home.objects / key, chance) for key in batch}
            unread += [key for key in batch if reads_well(user, reads[key])]
            named = [one for one in inventory(running) if one.key in reads]
            found = " ".join(finding for check in examine_objects(store, named, quiet) for finding in check.findings)
            unnamed += [key for key in batch if key not in found]
            for key, place in damage.items():
                flip(running.home.objects / key, chance, place)
                kinds[key.partition("/")[0]] += 1
        healthy = all(reads_well(user, address) for address in reads.values())
    figures: dict[str, Figure] = {
        **{f"flips in {kind}": number for kind, number in sorted(kinds.items())},
        "read all the same": len(unread),
        "not named by the doctor": len(unnamed),
        "read well once mended": healthy,
    }
    return [trial.result(sum(kinds.values()), len(unread) + len(unnamed) + (not healthy), figures)]


def things(running: Cluster, user: User, course: Course) -> dict[str, str]:
    """Some datasets and two models; the key of each object, and the address that reads it."""
    chance, reads = course.random("things"), dict[str, str]()
    ids = [dataset(user, f"t{number}", table(chance, 400)) for number in range(8)]
    models = [user.train(f"m{number}", ids[number]).raise_for_status().json() for number in range(2)]
    for model in models:
        until(lambda job=model["job_id"]: state(running, job) == "succeeded", 120, "the model is trained")
        reads[key_of(running, "package_key", "model_versions", "model_id", model["id"])] = (
            f"/api/v1/models/{model['id']}/package"
        )
    for one in ids:
        for column, form in (("raw_key", "raw"), ("data_key", "parquet")):
            key = key_of(running, column, "dataset_versions", "dataset_id", one)
            reads[key] = f"/api/v1/datasets/{one}/download?format={form}"
    return reads


def key_of(running: Cluster, column: str, rows: str, by: str, value: str) -> str:
    return str(running.query(f"SELECT to_json({column}) FROM {rows} WHERE {by} = '{value}'"))


def inventory(running: Cluster) -> list[Named]:
    port = next(part.port for part in running.state().parts if part.name == "postgres")
    server = PostgresServer(running.home.root / "postgres", port=port)
    with DatabaseAddress(server.url(SUPERUSER)).snapshot() as snapshot:
        return list(named_objects(snapshot))


def flip(path: Path, chance: random.Random, place: int | None = None) -> int:
    """The lowest bit of one byte; which one it was."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data)) if place is None else place
    data[place] ^= 1
    path.write_bytes(data)
    return place


def reads_well(user: User, address: str) -> bool:
    """Whether a client gets all of it; half an answer is none."""
    try:
        return user.http.get(address).is_success
    except httpx.HTTPError:
        return False
