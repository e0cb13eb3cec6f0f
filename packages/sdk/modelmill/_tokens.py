"""Who the client is. The transport asks for a header before each call and tells when the server refused it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from modelmill._errors import ApiError, AuthenticationError

EARLY_SECONDS = 30.0
Post = Callable[[str, dict[str, Any], bool], dict[str, Any]]
"""(path, fields, as a form) → the answer; sends no credentials."""


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gives. `expires_at` is Unix time of the access token's end by this machine's clock."""

    access_token: str
    refresh_token: str
    expires_at: float

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Tokens":
        return cls(str(answer["access_token"]), str(answer["refresh_token"]), time.time() + float(answer["expires_in"]))


class TokenKeeper(Protocol):
    """Where tokens live between processes; another process may have refreshed them meanwhile."""

    def load(self) -> Tokens | None: ...
    def save(self, tokens: Tokens | None) -> None: ...


class MemoryKeeper:
    """Keeps tokens as long as the client lives."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens

    def load(self) -> Tokens | None:
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        self._tokens = tokens


class Identity(Protocol):
    def header(self, post: Post) -> dict[str, str]:
        """What to send with the next call."""
        ...

    def refused(self, post: Post, header: dict[str, str]) -> bool:
        """The server refused `header`; whether trying again makes sense."""
        ...


class Anonymous:
    def header(self, post: Post) -> dict[str, str]:  # noqa: ARG002 - the shape of Identity
        return {}

    def refused(self, post: Post, header: dict[str, str]) -> bool:  # noqa: ARG002 - the shape of Identity
        return False


@dataclass(frozen=True)
class KeyIdentity:
    api_key: str

    def header(self, post: Post) -> dict[str, str]:  # noqa: ARG002 - the shape of Identity
        return {"Authorization": f"Bearer {self.api_key}"}

    def refused(self, post: Post, header: dict[str, str]) -> bool:  # noqa: ARG002 - the shape of Identity
        return False


class SignedIn:
    """Access tokens, refreshed a little before they end, once for all threads; with a password, signed in anew when all else fails."""

    def __init__(self, keeper: TokenKeeper, username: str | None = None, password: str | None = None) -> None:
        self._keeper = keeper
        self._username = username
        self._password = password
        self._lock = threading.Lock()

    def header(self, post: Post) -> dict[str, str]:
        with self._lock:
            tokens = self._keeper.load()
            if tokens is None or tokens.expires_at - time.time() < EARLY_SECONDS:
                tokens = self._renew(post, tokens)
            return _bearer(tokens)

    def refused(self, post: Post, header: dict[str, str]) -> bool:
        with self._lock:
            tokens = self._keeper.load()
            if tokens is not None and _bearer(tokens) != header:
                return True
            self._renew(post, tokens)
            return True

    def sign_in(self, post: Post) -> Tokens:
        with self._lock:
            return self._sign_in(post)

    def _sign_in(self, post: Post) -> Tokens:
        if self._username is None or self._password is None:
            raise AuthenticationError(401, {"title": "Sign in first", "detail": "there is no session, or it has ended"})
        form = {"grant_type": "password", "username": self._username, "password": self._password}
        return self._keep(post("/api/v1/auth/token", form, True))

    def _renew(self, post: Post, tokens: Tokens | None) -> Tokens:
        if tokens is None:
            return self._sign_in(post)
        try:
            return self._keep(post("/api/v1/auth/refresh", {"refresh_token": tokens.refresh_token}, False))
        except AuthenticationError:
            stored = self._keeper.load()
            if stored is not None and stored.refresh_token != tokens.refresh_token:
                return stored
            if self._password is None:
                self._keeper.save(None)
                raise
            return self._sign_in(post)

    def _keep(self, answer: dict[str, Any]) -> Tokens:
        tokens = Tokens.of(answer)
        self._keeper.save(tokens)
        return tokens

    def switch(self, post: Post, workspace_id: str) -> None:
        """Tokens for another workspace in place of those at hand."""
        with self._lock:
            tokens = self._keeper.load() or self._sign_in(post)
            body = {"refresh_token": tokens.refresh_token, "workspace_id": workspace_id}
            self._keep(post("/api/v1/auth/refresh", body, False))

    def sign_out(self, post: Post) -> None:
        with self._lock:
            tokens = self._keeper.load()
            self._keeper.save(None)
        if tokens is None:
            return
        try:
            post("/api/v1/auth/logout", {"refresh_token": tokens.refresh_token}, False)
        except ApiError as error:
            if not isinstance(error, AuthenticationError):
                raise


def _bearer(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.access_token}"}
