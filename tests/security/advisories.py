"""An offline copy of the advisory database, served to pip-audit: OSV's own bulk file, answered by OSV's own protocol. Called by `audit`.

`https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip` is the file, fetched on a machine that may; it holds a JSON document for
each advisory. pip-audit asks `POST /v1/query` for each package and version.
"""

import json
import re
import threading
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

SOURCE = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Copy:
    """All advisories by the canonical name of the package. `newest` is when the last of them was changed."""

    by_package: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    newest: str = ""

    @classmethod
    def read(cls, path: Path) -> "Copy":
        """Raises `ValueError` for a file that is no such copy."""
        found: dict[str, list[dict[str, Any]]] = {}
        newest = ""
        try:
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    document: dict[str, Any] = json.loads(archive.read(name))
                    newest = max(newest, str(document.get("modified", "")))
                    for package in {_canonical(one["package"]["name"]) for one in _of_pypi(document)}:
                        found.setdefault(package, []).append(document)
        except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no copy of {SOURCE}: {error}") from error
        if not found:
            raise ValueError(f"{path} holds no advisory of PyPI; fetch {SOURCE}")
        return cls(found, newest)

    def about(self, package: str, version: str) -> list[dict[str, Any]]:
        """Those that affect this version and were not withdrawn."""
        name = _canonical(package)
        return [
            one
            for one in self.by_package.get(name, [])
            if not one.get("withdrawn") and any(_affects(part, version) for part in _of_pypi(one, name))
        ]


@contextmanager
def serving(copy: Copy) -> Generator[str]:
    """The URL for `pip-audit --vulnerability-service osv --osv-url`, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = copy.about(asked["package"]["name"], asked["version"])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's signature
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _canonical(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _of_pypi(document: dict[str, Any], name: str | None = None) -> Iterator[dict[str, Any]]:
    for one in document.get("affected", []):
        package = one.get("package", {})
        if package.get("ecosystem") == "PyPI" and name in (None, _canonical(package["name"])):
            yield one


def _affects(part: dict[str, Any], version: str) -> bool:
    """By the list of versions, or by a range of them. A version that cannot be compared counts as affected."""
    if version in part.get("versions", ()):
        return True
    ranges = [one["events"] for one in part.get("ranges", []) if one.get("type") == "ECOSYSTEM"]
    try:
        return any(_within(events, Version(version)) for events in ranges)
    except InvalidVersion:
        return bool(ranges)


def _within(events: list[dict[str, str]], version: Version) -> bool:
    """OSV's rule: events in order of their version; the last one that is not above `version` decides."""
    affected = False
    for kind, at in sorted(((kind, at) for one in events for kind, at in one.items()), key=lambda pair: _at(pair[1])):
        if kind == "introduced" and version >= _at(at):
            affected = True
        elif (kind == "fixed" and version >= _at(at)) or (kind == "last_affected" and version > _at(at)):
            affected = False
    return affected


def _at(text: str) -> Version:
    return Version("0.dev0" if text == "0" else text)
