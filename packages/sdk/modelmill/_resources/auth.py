"""Accounts, sign-ins and API keys."""

from collections.abc import Iterator, Sequence

from modelmill._pages import walk
from modelmill._tokens import Identity, SignedIn, Tokens
from modelmill._transport import Transport, path
from modelmill._types import ApiKey, User


class Auth:
    def __init__(self, transport: Transport, identity: Identity) -> None:
        self._transport = transport
        self._identity = identity

    def register(self, *, email: str, username: str, password: str, full_name: str = "") -> User:
        """Make an account with its personal workspace. Raises `AlreadyRegistered`, `InvalidRequest`."""
        body = {"email": email, "username": username, "password": password, "full_name": full_name}
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

    def me(self) -> User:
        return User.of(self._transport.get(path("auth", "me")))

    def create_key(self, name: str, *, scopes: Sequence[str] = ("predict",), expires_at: str | None = None) -> ApiKey:
        """Its `key` is shown in this answer and never again."""
        body = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
        return ApiKey.of(self._transport.create(path("api-keys"), body))

    def keys(self) -> Iterator[ApiKey]:
        return walk(self._transport, path("api-keys"), ApiKey)

    def revoke_key(self, key_id: str) -> None:
        self._transport.delete(path("api-keys", key_id))
