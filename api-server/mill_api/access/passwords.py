"""Password hashing (Argon2id), in threads of its own: a burst of logins cannot hold the event loop or fill the memory."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mill_api.access.errors import WeakPassword
from mill_api.access.password_rules import PasswordRules

_T = TypeVar("_T")
_THREADS = 2


class Passwords:
    """Close it when the service ends. `fast` is for tests: the same algorithm with little work."""

    def __init__(self, *, fast: bool = False) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1) if fast else PasswordHasher()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        self._of_nobody = self._hasher.hash("the password of nobody")
        self._rules = PasswordRules.load()

    def require_good(self, password: str, names: Iterable[str]) -> None:
        """Raises `WeakPassword` for one that is too short, or guessed first."""
        refusal = self._rules.refusal(password, names)
        if refusal is not None:
            raise WeakPassword(f"The password {refusal}", errors=[{"pointer": "/password", "detail": refusal}])

    async def hash(self, password: str) -> str:
        return await self._run(partial(self._hasher.hash, password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Takes the same time for a user who does not exist (`stored` is None)."""
        matches = await self._run(partial(self._matches, stored or self._of_nobody, password))
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
