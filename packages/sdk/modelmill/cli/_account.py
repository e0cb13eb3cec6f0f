"""`modelmill login | logout | register | whoami | usage`."""

import sys
from typing import Annotated

import typer

from modelmill._client import Client
from modelmill.cli._output import JsonOption, friendly, print_json, print_view
from modelmill.cli._session import FileKeeper, credentials_file, server_url, signed_in

UrlOption = Annotated[str | None, typer.Option("--url", help="The server; kept for the commands that follow.")]
ServingOption = Annotated[
    str | None, typer.Option("--serving-url", help="Send predictions straight to this ml-service.")
]
NameOption = Annotated[str, typer.Option("--username", "-u", prompt=True, help="User name or e-mail address.")]
StdinOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
USER_FIELDS = ("username", "email", "full_name", "role", "workspace_id", "id")


def register(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)
    app.command("register")(register_user)
    app.command()(whoami)
    app.command()(usage)


def login(
    username: NameOption,
    url: UrlOption = None,
    serving_url: ServingOption = None,
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign in; the tokens are kept in a file that only you can read."""
    with friendly(as_json):
        _sign_in(username, _password(password_stdin), url, serving_url, as_json)


def register_user(
    username: NameOption,
    email: Annotated[str, typer.Option(prompt=True)],
    full_name: Annotated[str, typer.Option("--full-name")] = "",
    code: Annotated[str | None, typer.Option(help="Of an invitation, or of a server's first start.")] = None,
    url: UrlOption = None,
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make an account, and sign in: with an invitation's code in the workspace that invited, else in one of its own."""
    with friendly(as_json):
        password = _password(password_stdin, confirm=True)
        with Client(server_url(FileKeeper(credentials_file()), url)) as client:
            client.auth.register(email=email, username=username, password=password, full_name=full_name, code=code)
        _sign_in(username, password, url, None, as_json)


def logout(
    everywhere: Annotated[bool, typer.Option("--everywhere", help="On every device of yours.")] = False,
    as_json: JsonOption = False,
) -> None:
    """End this sign-in, here and on the server."""
    with friendly(as_json), signed_in() as client:
        client.auth.logout_everywhere() if everywhere else client.auth.logout()
        print_json({"signed_in": False}) if as_json else typer.echo("Signed out.")


def whoami(as_json: JsonOption = False) -> None:
    """Show who is signed in, and in which workspace."""
    with friendly(as_json), signed_in() as client:
        print_view(client.auth.me(), USER_FIELDS, as_json)


def usage(as_json: JsonOption = False) -> None:
    """Show how much the workspace has of what it may have."""
    with friendly(as_json), signed_in() as client:
        found = client.usage.get()
        if as_json:
            print_json(dict(found.raw))
            return
        for name in ("bytes", "models", "running_jobs", "predictions_per_day"):
            amount = found.raw[name]
            limit = "no limit" if amount["limit"] is None else f"of {amount['limit']:,}"
            typer.echo(f"{name:<20}{amount['used']:>16,}  {limit}")


def _password(from_stdin: bool, confirm: bool = False) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=confirm))


def _sign_in(username: str, password: str, url: str | None, serving_url: str | None, as_json: bool) -> None:
    keeper = FileKeeper(credentials_file())
    server = server_url(keeper, url)
    with Client(server, username=username, password=password, keeper=keeper) as client:
        client.auth.login()
        keeper.update(url=server, serving_url=serving_url)
        user = client.auth.me()
    if as_json:
        print_json(dict(user.raw))
    else:
        typer.echo(f"Signed in to {server} as {user.username} ({user.email}).")
