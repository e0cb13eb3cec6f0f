"""Accounts, sign-ins and API keys."""

from collections.abc import Iterator, Sequence
from typing import Any

from modelmill._pages import walk
from modelmill._tokens import Identity, SignedIn, Tokens
from modelmill._transport import Transport, path
from modelmill._types import ApiKey, User


class Auth:
    def __init__(self, transport: Transport, identity: Identity) -> None:
        self._transport = transport
        self._identity = identity

    def register(
        self, *, email: str, username: str, password: str, full_name: str = "", code: str | None = None
    ) -> User:
        """Make an account: with an invitation's `code` in the workspace that invited, else with a personal one.

        Raises `AlreadyRegistered`, `InvalidRequest`, and `PermissionDenied` where one registers by invitation only.
        """
        body = {"email": email, "username": username, "password": password, "full_name": full_name}
        if code is not None:
            body["code"] = code
        return User.of(self._transport.bare_post(path("auth", "register"), body, False))

    def login(self) -> Tokens | None:
        """Sign in now, instead of before the first call that needs it. None for a client with an API key."""
        if isinstance(self._identity, SignedIn):
            return self._identity.sign_in(self._transport.bare_post)
        return None

    def logout(self) -> None:
        """End this sign-in on the server and forget its tokens."""
        if isinstance(self._identity, SignedIn):
            self._identity.sign_out(self._transport.bare_post)

    def logout_everywhere(self) -> None:
        """End every sign-in of yours, on every device."""
        self._transport.post(path("auth", "logout-everywhere"))
        self.logout()

    def me(self) -> User:
        return User.of(self._transport.get(path("auth", "me")))

    def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str] = ("predict",),
        model_ids: Sequence[str] = (),
        service_account_id: str | None = None,
        expires_at: str | None = None,
    ) -> ApiKey:
        """Its `key` is shown in this answer and never again. Without `model_ids` it is good for every model."""
        body: dict[str, Any] = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
        body |= {"model_ids": list(model_ids) or None, "service_account_id": service_account_id}
        return ApiKey.of(self._transport.create(path("api-keys"), body))

    def keys(self) -> Iterator[ApiKey]:
        return walk(self._transport, path("api-keys"), ApiKey)

    def revoke_key(self, key_id: str) -> None:
        self._transport.delete(path("api-keys", key_id))
