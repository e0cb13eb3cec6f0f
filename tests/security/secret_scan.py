"""Looks for keys and tokens in every blob that the repository holds or ever held, each line once. Called by `audit`.

The patterns are detect-secrets'. Its own scan asks every plugin about every line of every commit, and then the internet whether what it
found is real; here the patterns run over whole blobs, nothing is sent anywhere, and a history of thousands of blobs takes seconds.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector
from rich.console import Console
from rich.progress import Progress

DETECTORS: tuple[type[RegexBasedDetector], ...] = (
    ArtifactoryDetector,
    AWSKeyDetector,
    AzureStorageKeyDetector,
    CloudantDetector,
    DiscordBotTokenDetector,
    GitHubTokenDetector,
    GitLabTokenDetector,
    IbmCloudIamDetector,
    MailchimpDetector,
    NpmDetector,
    OpenAIDetector,
    PrivateKeyDetector,
    PypiTokenDetector,
    SendGridDetector,
    SlackDetector,
    SquareOAuthDetector,
    StripeDetector,
    TelegramBotTokenDetector,
    TwilioKeyDetector,
)
_LONGEST_LINE = 4096
"""No person writes a longer one: base64 of an image or a minified script, in which every pattern is found sooner or later."""
_HEAD = 8000


@dataclass(frozen=True)
class Blob:
    """A file's content at some time, by its object id; `path` is one of the names it had."""

    name: str
    path: str


@dataclass
class Scan:
    """What was looked at, and what was found: `path@blob:line kind`."""

    blobs: int = 0
    lines: int = 0
    found: list[str] = field(default_factory=list[str])


def patterns() -> list[tuple[str, re.Pattern[str]]]:
    """By what each finds. The library declares both as abstract properties without a type."""
    known = [(detector.__name__.removesuffix("Detector"), detector()) for detector in DETECTORS]
    return [(name, pattern) for name, one in known for pattern in cast(Iterable[re.Pattern[str]], one.denylist)]  # pyright: ignore[reportUnknownMemberType]


def blobs_of_tree(folder: Path) -> list[Blob]:
    """What the index holds: the files that git tracks, as they would be committed."""
    listed = _git(folder, "ls-files", "-z", "--stage").split(b"\0")
    found = [line.decode("utf-8", "replace").split(None, 3) for line in listed if line]
    return [Blob(name, path) for mode, name, _, path in found if mode != "160000"]


def blobs_of_history(folder: Path) -> list[Blob]:
    """Every blob that any commit of any branch reaches, once."""
    listed = _git(folder, "rev-list", "--objects", "--all", "--filter=object:type=blob").decode("utf-8", "replace")
    pairs = (line.partition(" ") for line in listed.splitlines())
    return [Blob(name, path) for name, _, path in pairs if path]


def scan(folder: Path, blobs: Iterable[Blob], *, told: Callable[[str], bool] = lambda _path: False) -> Scan:
    """Looks at each line the first time it comes. `told` are paths whose finds are expected; what they say excuses no other."""
    wanted = list(blobs)
    result, seen, known = Scan(), set[int](), patterns()
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        for blob, content in progress.track(_contents(folder, wanted), total=len(wanted), description="secrets"):
            result.blobs += 1
            if told(blob.path):
                continue
            fresh = list(_fresh(content, seen))
            result.lines += len(fresh)
            if fresh:
                result.found += [f"{blob.path}@{blob.name[:10]}:{where}" for where in _look(fresh, known)]
    return result


def _fresh(content: bytes, seen: set[int]) -> Iterator[tuple[int, str]]:
    """The lines of a text that no earlier text had, with their numbers."""
    if b"\0" in content[:_HEAD]:
        return
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
        mark = hash(line)
        if mark not in seen:
            seen.add(mark)
            if len(line) <= _LONGEST_LINE:
                yield number, line


def _look(lines: list[tuple[int, str]], known: list[tuple[str, re.Pattern[str]]]) -> Iterator[str]:
    """All lines together are asked first; only where something is found, each for itself."""
    text = "\n" + "\n".join(line for _, line in lines) + "\n"
    for kind, pattern in known:
        if pattern.search(text):
            yield from (f"{number} {kind}" for number, line in lines if pattern.search(line))


def _contents(folder: Path, blobs: list[Blob]) -> Iterator[tuple[Blob, bytes]]:
    """From one `git cat-file`, in the order asked for; asked one by one, so that no pipe fills up."""
    command = ["git", "cat-file", "--batch"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for blob in blobs:
            process.stdin.write(f"{blob.name}\n".encode())
            process.stdin.flush()
            _, kind, size = process.stdout.readline().decode().split()
            content = process.stdout.read(int(size))
            process.stdout.read(1)
            if kind == "blob":
                yield blob, content
        process.stdin.close()


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
