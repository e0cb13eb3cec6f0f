"""The first administrator: from the settings, or by a code that the first start prints. There is no default password.

`prepare` is called when the api-server starts, `use_code` when somebody registers with the code, `print_new_code` by
`python -m mill_api setup-code`. Nothing of it works once a person is registered.
"""

import secrets
import sys
from datetime import UTC, datetime, timedelta

from mill_contracts.ids import WorkspaceId, new_id
from mill_kit.logs import get_logger
from pydantic import ValidationError
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from mill_api.access.accounts import add_personal_workspace, add_user
from mill_api.access.errors import InvalidCode
from mill_api.access.passwords import Passwords
from mill_api.access.recognise import sha256_of
from mill_api.access.repository import UserRepository
from mill_api.access.schemas import Registration
from mill_api.access.tables import SetupCodeRow
from mill_api.db import Database, UnitOfWork
from mill_api.errors import Unavailable
from mill_api.settings import AccessSettings

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('mill.first-admin'))")
_USERNAME = "admin"


class BadFirstAdmin(Unavailable):
    slug = "bad-first-admin"
    title = "MILL_ACCESS__ADMIN_EMAIL or MILL_ACCESS__ADMIN_PASSWORD cannot be used"


async def prepare(database: Database, passwords: Passwords, settings: AccessSettings) -> None:
    """Of several servers that start at once, one does it. Raises `BadFirstAdmin` for an address or password that nobody may have."""
    place = WorkspaceId(new_id())
    async with database.writing(place) as work:
        await work.session.execute(_LOCK)
        if await UserRepository(work.session).anybody():
            return
        if settings.admin_email is not None:
            await _add(work, place, passwords, settings)
        elif settings.registration == "invited":
            code = await _new_code(work, settings, replace=False)
            if code is not None:
                _say(code, settings)


async def print_new_code(database_url: str, settings: AccessSettings) -> int:
    """Another code in place of the one that was lost. The exit code is 1 when somebody is registered already."""
    database = Database.connect(database_url, pool_size=1)
    try:
        async with database.writing() as work:
            await work.session.execute(_LOCK)
            taken = await UserRepository(work.session).anybody()
            code = None if taken else await _new_code(work, settings, replace=True)
    finally:
        await database.close()
    if code is None:
        sys.stderr.write("Somebody is registered already: ask an admin of a workspace for an invitation\n")
        return 1
    sys.stdout.write(code + "\n")
    return 0


async def use_code(work: UnitOfWork, code: str) -> None:
    """Raises `InvalidCode` for anything but the unused code of a server where nobody is registered."""
    await work.session.execute(_LOCK)
    unused = update(SetupCodeRow).where(
        SetupCodeRow.sha256 == sha256_of(code), SetupCodeRow.used_at.is_(None), SetupCodeRow.expires_at > func.now()
    )
    used = await work.session.scalar(unused.values(used_at=func.now()).returning(SetupCodeRow.id))
    if used is None or await UserRepository(work.session).anybody():
        raise InvalidCode("Ask whoever sent it for a new one")


async def _add(work: UnitOfWork, place: WorkspaceId, passwords: Passwords, settings: AccessSettings) -> None:
    password = settings.admin_password.get_secret_value() if settings.admin_password else ""
    try:
        wanted = Registration.model_validate(
            {"email": settings.admin_email, "username": _USERNAME, "password": password}
        )
    except ValidationError as error:
        reasons = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors(include_input=False))
        raise BadFirstAdmin(reasons) from None
    passwords.require_good(password, (wanted.email,))
    user = await add_user(work, wanted, await passwords.hash(password))
    await add_personal_workspace(work, user, place, None)
    get_logger().info("first_admin_made", username=_USERNAME, email=wanted.email)


async def _new_code(work: UnitOfWork, settings: AccessSettings, *, replace: bool) -> str | None:
    """None where an unused one is out and is not to be replaced."""
    if not replace:
        usable = select(SetupCodeRow.id).where(SetupCodeRow.expires_at > func.now(), SetupCodeRow.used_at.is_(None))
        if await work.session.scalar(usable) is not None:
            return None
    code = "setup-" + secrets.token_urlsafe(24)
    values = {
        "sha256": sha256_of(code),
        "expires_at": datetime.now(UTC) + timedelta(hours=settings.setup_code_hours),
        "used_at": None,
    }
    statement = insert(SetupCodeRow).values(id=new_id(), **values)
    await work.session.execute(statement.on_conflict_do_update(index_elements=["singleton"], set_=values))
    return code


def _say(code: str, settings: AccessSettings) -> None:
    """To the console, not into the log: logs are shipped elsewhere and kept."""
    sys.stderr.write(
        f"\n  Nobody is registered yet. The first administrator registers with this code, within {settings.setup_code_hours:g} hours:\n"
        f"\n      {code}\n\n  A new one: python -m mill_api setup-code\n\n"
    )
    sys.stderr.flush()
