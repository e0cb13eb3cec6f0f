"""The client: the composition root of this package."""

import os
from types import TracebackType
from typing import Self

import httpx

from modelmill._resources.auth import Auth
from modelmill._resources.batch import Batch
from modelmill._resources.datasets import Datasets
from modelmill._resources.jobs import Jobs
from modelmill._resources.models import Models
from modelmill._resources.people import Audit, Invitations, Members, ServiceAccounts, Workspaces
from modelmill._resources.predictions import Predict
from modelmill._resources.projects import Projects
from modelmill._resources.usage import UsageOf
from modelmill._tokens import Anonymous, Identity, KeyIdentity, MemoryKeeper, SignedIn, TokenKeeper
from modelmill._transport import Retries, Transport

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class Client:
    """Talk to a Modelmill server. Safe to share between threads; close it, or use it as a context manager.

    ```python
    with Client("http://127.0.0.1:8000", username="ada", password="…") as mill:
        project = mill.projects.create("Census")
        dataset = mill.datasets.upload("adult.csv", project_id=project.id)
        model = mill.models.wait(mill.models.train("income", project_id=project.id, dataset_id=dataset.id))
    ```
    Give an `api_key`, or `username` and `password`, or a `keeper` of tokens; with none of them only registering and public models
    work. `serving_url` sends predictions straight to an ml-service. Calls that may be repeated safely are (`retries`).
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        username: str | None = None,
        password: str | None = None,
        keeper: TokenKeeper | None = None,
        serving_url: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = (url or os.environ.get("MODELMILL_URL") or DEFAULT_URL).rstrip("/")
        self.serving_url = serving_url.rstrip("/") if serving_url else None
        identity = _identity(api_key, username, password, keeper)
        self._https = [_http(self.url, timeout, transport)]
        main = Transport(self._https[0], identity, retries)
        serving: Transport | None = None
        if self.serving_url is not None:
            self._https.append(_http(self.serving_url, timeout, transport))
            serving = Transport(self._https[1], _Through(identity, main), retries)
        self.auth = Auth(main, identity)
        self.members = Members(main)
        self.invitations = Invitations(main)
        self.workspaces = Workspaces(main, identity)
        self.service_accounts = ServiceAccounts(main)
        self.audit = Audit(main)
        self.jobs = Jobs(main)
        self.projects = Projects(main)
        self.datasets = Datasets(main, self.jobs)
        self.models = Models(main, self.jobs)
        self.batch = Batch(main, self.jobs)
        self.predictions = Predict(main, serving)
        self.usage = UsageOf(main)

    def close(self) -> None:
        for http in self._https:
            http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Through:
    """The same identity at the ml-service; its tokens are refreshed at the api-server."""

    def __init__(self, identity: Identity, main: Transport) -> None:
        self._identity = identity
        self._main = main

    def header(self, post: object) -> dict[str, str]:  # noqa: ARG002 - the shape of Identity
        return self._identity.header(self._main.bare_post)

    def refused(self, post: object, header: dict[str, str]) -> bool:  # noqa: ARG002 - the shape of Identity
        return self._identity.refused(self._main.bare_post, header)


def _identity(api_key: str | None, username: str | None, password: str | None, keeper: TokenKeeper | None) -> Identity:
    if (username is None) != (password is None):
        raise ValueError("give both username and password, or neither")
    if api_key is not None:
        if username is not None or keeper is not None:
            raise ValueError("give an api_key or a sign-in, not both")
        return KeyIdentity(api_key)
    if username is not None or keeper is not None:
        return SignedIn(keeper or MemoryKeeper(), username, password)
    return Anonymous()


def _http(url: str, timeout: float | httpx.Timeout, transport: httpx.BaseTransport | None) -> httpx.Client:
    """No proxy of the environment stands between a client and a server on the same machine."""
    try:
        nearby = httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}
        return httpx.Client(
            base_url=url,
            timeout=timeout,
            transport=transport,
            trust_env=not nearby,
            headers={"Accept": "application/json"},
        )
    except httpx.InvalidURL as error:
        raise ValueError(f"not a URL: {url!r}") from error
