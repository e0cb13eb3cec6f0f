"""`python -m mill_api quota WORKSPACE …`: what the operator gives one workspace, more or less than the settings say."""

import argparse
from collections.abc import Sequence
from uuid import UUID

from mill_contracts.ids import new_id
from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert

from mill_api.db import Database
from mill_api.quotas.service import Quota
from mill_api.quotas.tables import QuotaRow


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m mill_api quota", description="Give one workspace its own quotas")
    options.add_argument("workspace", type=UUID, help="the workspace's id")
    for quota in Quota:
        options.add_argument(f"--{quota.value.replace('_', '-')}", type=_amount, metavar="N", help="0 is no limit")
    options.add_argument("--reset", action="store_true", help="back to what the settings say")
    return options


async def give(url: str, arguments: Sequence[str]) -> str:
    """Write it as the system role; says what was done. Ends the program where the arguments are none."""
    options = parser().parse_args(list(arguments))
    wanted = {quota.value: getattr(options, quota.value) for quota in Quota}
    given = {name: value for name, value in wanted.items() if value is not None}
    database = Database.connect(url, pool_size=1, application="mill-quota")
    try:
        async with database.writing() as work:
            if options.reset:
                await work.session.execute(delete(QuotaRow).where(QuotaRow.tenant_id == options.workspace))
            if given:
                row = insert(QuotaRow).values(id=new_id(), tenant_id=options.workspace, **given)
                changed = {**given, "updated_at": func.now()}
                await work.session.execute(row.on_conflict_do_update(index_elements=["tenant_id"], set_=changed))
    finally:
        await database.close()
    said = ", ".join(f"{name} {value}" for name, value in given.items())
    return f"Workspace {options.workspace}: {said or 'as the settings say' if options.reset or given else 'unchanged'}"


def _amount(text: str) -> int:
    amount = int(text)
    if amount < 0:
        raise argparse.ArgumentTypeError("0 or more")
    return amount
