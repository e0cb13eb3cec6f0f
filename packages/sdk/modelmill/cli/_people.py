"""`modelmill members | invitations | workspaces | service-accounts | keys | audit …`: who may do what here, and who did."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from modelmill._client import Client
from modelmill._errors import NotFound
from modelmill._people import Member, ServiceAccount
from modelmill.cli._output import JsonOption, friendly, is_id, print_json, print_table, print_view
from modelmill.cli._session import signed_in

Role = Literal["user", "data_scientist", "admin"]
ServiceRole = Literal["user", "data_scientist"]
RoleOption = Annotated[Role, typer.Option(help="What they may do in this workspace.")]
WhoArgument = Annotated[str, typer.Argument(help="User name, e-mail address or id.")]
MEMBER_FIELDS = ("username", "email", "role", "user_id")
INVITATION_FIELDS = ("email", "role", "expires_at", "code", "id")
WORKSPACE_FIELDS = ("name", "role", "personal", "owner_id", "id")
ACCOUNT_FIELDS = ("name", "role", "description", "user_id", "id")
KEY_FIELDS = ("name", "scopes", "prefix", "key", "expires_at", "last_used_at", "id")
AUDIT_FIELDS = ("at", "user", "action", "subject", "address", "request_id")


def register(app: typer.Typer) -> None:
    members = _group(app, "members", "Who works in this workspace.")
    members.command("list")(list_members)
    members.command("add")(add_member)
    members.command("role")(change_role)
    members.command("remove")(remove_member)
    invitations = _group(app, "invitations", "One-time codes that let people in.")
    invitations.command("list")(list_invitations)
    invitations.command("create")(create_invitation)
    invitations.command("revoke")(revoke_invitation)
    invitations.command("accept")(accept_invitation)
    workspaces = _group(app, "workspaces", "The walls between teams.")
    workspaces.command("list")(list_workspaces)
    workspaces.command("create")(create_workspace)
    workspaces.command("rename")(rename_workspace)
    workspaces.command("switch")(switch_workspace)
    workspaces.command("hand-over")(hand_over_workspace)
    accounts = _group(app, "service-accounts", "What programs sign in as.")
    accounts.command("list")(list_accounts)
    accounts.command("create")(create_account)
    accounts.command("delete")(delete_account)
    keys = _group(app, "keys", "API keys, yours or a service account's.")
    keys.command("list")(list_keys)
    keys.command("create")(create_key)
    keys.command("revoke")(revoke_key)
    audit = _group(app, "audit", "Who did what.")
    audit.command("list")(list_audit)
    audit.command("export")(export_audit)


def _group(app: typer.Typer, name: str, about: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=about)
    app.add_typer(group, name=name)
    return group


def find_member(client: Client, word: str) -> Member:
    for member in client.members.list():
        if word in (member.user_id, member.username, member.email):
            return member
    raise NotFound(404, {"title": "Not found", "detail": f"there is no member {word!r} in this workspace"})


def find_account(client: Client, word: str) -> ServiceAccount:
    for account in client.service_accounts.list():
        if word in (account.id, account.name):
            return account
    raise NotFound(404, {"title": "Not found", "detail": f"there is no service account {word!r}"})


def list_members(as_json: JsonOption = False) -> None:
    """List the members of the workspace."""
    with friendly(as_json), signed_in() as client:
        print_table(client.members.list(), MEMBER_FIELDS, as_json)


def add_member(email: str, role: RoleOption = "user", as_json: JsonOption = False) -> None:
    """Let somebody in who is registered; invite others."""
    with friendly(as_json), signed_in() as client:
        print_view(client.members.add(email, role), MEMBER_FIELDS, as_json)


def change_role(who: WhoArgument, role: Role, as_json: JsonOption = False) -> None:
    """Give a member another role."""
    with friendly(as_json), signed_in() as client:
        print_view(client.members.change_role(find_member(client, who).user_id, role), MEMBER_FIELDS, as_json)


def remove_member(who: WhoArgument, as_json: JsonOption = False) -> None:
    """End a membership at once, with its keys and sign-ins."""
    with friendly(as_json), signed_in() as client:
        found = find_member(client, who)
        client.members.remove(found.user_id)
        print_json({"removed": found.user_id}) if as_json else typer.echo(f"Removed {found.username}.")


def list_invitations(as_json: JsonOption = False) -> None:
    """List the invitations that may still be accepted."""
    with friendly(as_json), signed_in() as client:
        print_table(client.invitations.list(), ("email", "role", "expires_at", "id"), as_json)


def create_invitation(
    email: str,
    role: RoleOption = "user",
    hours: Annotated[int, typer.Option(help="How long the code is good for.")] = 168,
    as_json: JsonOption = False,
) -> None:
    """Make a one-time code for an e-mail address; send it to them yourself."""
    with friendly(as_json), signed_in() as client:
        made = client.invitations.create(email, role, expires_in_hours=hours)
        print_view(made, INVITATION_FIELDS, as_json)
        if not as_json:
            typer.echo(f"New here: modelmill register --email {email} --code {made.code}")
            typer.echo(f"Registered: modelmill invitations accept {made.code}")


def revoke_invitation(invitation_id: str, as_json: JsonOption = False) -> None:
    """Take an invitation back that was not accepted yet."""
    with friendly(as_json), signed_in() as client:
        client.invitations.revoke(invitation_id)
        print_json({"revoked": invitation_id}) if as_json else typer.echo("Revoked.")


def accept_invitation(code: str, as_json: JsonOption = False) -> None:
    """Join the workspace of an invitation and work there from now on."""
    with friendly(as_json), signed_in() as client:
        joined = client.invitations.accept(code)
        client.workspaces.switch(joined)
        print_json({"workspace_id": joined}) if as_json else typer.echo(f"Joined workspace {joined}.")


def list_workspaces(as_json: JsonOption = False) -> None:
    """List the workspaces you are in."""
    with friendly(as_json), signed_in() as client:
        print_table(client.workspaces.list(), WORKSPACE_FIELDS, as_json)


def create_workspace(name: str, as_json: JsonOption = False) -> None:
    """Make a workspace that you own."""
    with friendly(as_json), signed_in() as client:
        print_view(client.workspaces.create(name), WORKSPACE_FIELDS, as_json)


def rename_workspace(name: str, as_json: JsonOption = False) -> None:
    """Rename the active workspace."""
    with friendly(as_json), signed_in() as client:
        print_view(client.workspaces.rename(name), WORKSPACE_FIELDS, as_json)


def switch_workspace(
    workspace: Annotated[str, typer.Argument(help="Name or id.")], as_json: JsonOption = False
) -> None:
    """Work in another of your workspaces from now on."""
    with friendly(as_json), signed_in() as client:
        named = [place.id for place in client.workspaces.list() if place.name == workspace]
        target = workspace if is_id(workspace) or len(named) != 1 else named[0]
        client.workspaces.switch(target)
        print_json({"workspace_id": target}) if as_json else typer.echo(f"Now in workspace {target}.")


def hand_over_workspace(who: WhoArgument, as_json: JsonOption = False) -> None:
    """Make another member the owner of the active workspace."""
    with friendly(as_json), signed_in() as client:
        print_view(client.workspaces.hand_over(find_member(client, who).user_id), WORKSPACE_FIELDS, as_json)


def list_accounts(as_json: JsonOption = False) -> None:
    """List the service accounts."""
    with friendly(as_json), signed_in() as client:
        print_table(client.service_accounts.list(), ACCOUNT_FIELDS, as_json)


def create_account(
    name: str,
    role: Annotated[ServiceRole, typer.Option()] = "user",
    description: Annotated[str, typer.Option()] = "",
    as_json: JsonOption = False,
) -> None:
    """Make an account for a program."""
    with friendly(as_json), signed_in() as client:
        print_view(client.service_accounts.create(name, role, description=description), ACCOUNT_FIELDS, as_json)


def delete_account(account: Annotated[str, typer.Argument(help="Name or id.")], as_json: JsonOption = False) -> None:
    """Delete a service account; its keys are worthless at once."""
    with friendly(as_json), signed_in() as client:
        found = find_account(client, account)
        client.service_accounts.delete(found.id)
        print_json({"deleted": found.id}) if as_json else typer.echo(f"Deleted {found.name}.")


def list_keys(as_json: JsonOption = False) -> None:
    """List API keys: yours, or as an admin all of the workspace."""
    with friendly(as_json), signed_in() as client:
        fields = ("name", "scopes", "prefix", "expires_at", "last_used_at", "id")
        print_table(client.auth.keys(), fields, as_json)


def create_key(
    name: str,
    scope: Annotated[
        list[str] | None, typer.Option(help="predict (the default), read, write; may be repeated.")
    ] = None,
    model_id: Annotated[list[str] | None, typer.Option(help="Only these models; may be repeated.")] = None,
    service_account: Annotated[str | None, typer.Option(help="Name or id: the key is this account's.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="ISO 8601, with a time zone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key; it is shown once."""
    with friendly(as_json), signed_in() as client:
        owner = find_account(client, service_account).id if service_account else None
        made = client.auth.create_key(
            name,
            scopes=scope or ("predict",),
            model_ids=model_id or (),
            service_account_id=owner,
            expires_at=expires_at,
        )
        print_view(made, KEY_FIELDS, as_json)


def revoke_key(key_id: str, as_json: JsonOption = False) -> None:
    """Make a key worthless at once."""
    with friendly(as_json), signed_in() as client:
        client.auth.revoke_key(key_id)
        print_json({"revoked": key_id}) if as_json else typer.echo("Revoked.")


UserFilter = Annotated[str | None, typer.Option("--user", help="User name, e-mail address or id.")]
ActionFilter = Annotated[str | None, typer.Option(help="Such as project.deleted.")]
SubjectFilter = Annotated[str | None, typer.Option(help="project:<id>, or a beginning of it.")]
MomentFilter = Annotated[str | None, typer.Option(help="ISO 8601, with a time zone.")]


def list_audit(
    user: UserFilter = None,
    action: ActionFilter = None,
    subject: SubjectFilter = None,
    since: MomentFilter = None,
    until: MomentFilter = None,
    as_json: JsonOption = False,
) -> None:
    """List who did what, newest first."""
    with friendly(as_json), signed_in() as client:
        who = _user_id(client, user)
        lines = client.audit.list(user_id=who, action=action, subject=subject, since=since, until=until)
        print_table(lines, AUDIT_FIELDS, as_json)


def export_audit(
    to: Annotated[Path, typer.Argument(dir_okay=False, help="A .csv file, or NDJSON.")],
    user: UserFilter = None,
    action: ActionFilter = None,
    subject: SubjectFilter = None,
    since: MomentFilter = None,
    until: MomentFilter = None,
    as_json: JsonOption = False,
) -> None:
    """Save the audit log to a file."""
    with friendly(as_json), signed_in() as client:
        who = _user_id(client, user)
        filters = {"user_id": who, "action": action, "subject": subject, "since": since, "until": until}
        client.audit.export(to, format="csv" if to.suffix == ".csv" else "ndjson", **filters)
        print_json({"file": str(to)}) if as_json else typer.echo(f"Saved {to}.")


def _user_id(client: Client, word: str | None) -> str | None:
    return word if word is None or is_id(word) else find_member(client, word).user_id
