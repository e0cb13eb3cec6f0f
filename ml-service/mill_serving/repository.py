"""What exists: the routes of the snapshot and the shared demo packages, by every name they go by. Nothing here is loaded.

The registry knows what is loaded. A catalogue is immutable; a new one replaces it when routes or readiness change.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from mill_contracts.routing import Route

from mill_serving.errors import CredentialsMissing, MayNotPredict, ModelNotFound
from mill_serving.targets import Principal, Target

Names = dict[str, Target]


@dataclass(frozen=True)
class Catalogue:
    """`public` needs no key; `private` is by workspace. A workspace's own model goes before a public one of the same name."""

    public: Names = field(default_factory=dict[str, Target])
    private: dict[UUID, Names] = field(default_factory=dict[UUID, Names])

    def find(self, name: str, caller: Principal | None) -> Target:
        """By id, name or name@version. Raises `CredentialsMissing`, `ModelNotFound` (unknown or forbidden), `MayNotPredict`."""
        if caller is not None:
            target = self.private.get(caller.workspace_id, {}).get(name)
            if target is not None:
                return _allowed(target, caller, name)
        target = self.public.get(name)
        if target is not None:
            return target
        raise CredentialsMissing if caller is None else ModelNotFound(name)

    def visible(self, caller: Principal | None) -> list[Target]:
        """What `GET /models` shows this caller, each version once."""
        own = self.private.get(caller.workspace_id, {}) if caller is not None and caller.may_predict else {}
        chosen = caller.models if caller is not None else None
        found = [target for target in own.values() if chosen is None or target.model_id in chosen]
        found += self.public.values()
        return list({target.version_id: target for target in found}.values())

    def targets(self) -> list[Target]:
        everything = [*self.public.values(), *(target for names in self.private.values() for target in names.values())]
        return list({target.version_id: target for target in everything}.values())


def build_catalogue(routes: Sequence[Route], shared: Iterable[Target], is_ready: Callable[[UUID], bool]) -> Catalogue:
    """The default version of a model answers to its bare name once it is ready here; until then the previous one does."""
    catalogue = Catalogue()
    _enter(catalogue.public, [(target, True) for target in shared])
    by_version = {route.model_version_id: route for route in routes}
    chosen = {_serving(route, by_version, is_ready) for route in routes if route.is_default}
    entries = [(Target.of_route(route), route.model_version_id in chosen) for route in routes]
    for workspace in {route.workspace_id for route in routes}:
        own = [(target, default) for target, default in entries if target.workspace_id == workspace]
        _enter(catalogue.private.setdefault(workspace, {}), own)
    _enter(catalogue.public, [(target, default) for target, default in entries if target.public])
    return catalogue


def _serving(route: Route, by_version: dict[UUID, Route], is_ready: Callable[[UUID], bool]) -> UUID:
    previous = by_version.get(route.previous_version_id) if route.previous_version_id else None
    if previous is None or previous.workspace_id != route.workspace_id or is_ready(route.model_version_id):
        return route.model_version_id
    return previous.model_version_id


def _enter(names: Names, entries: Sequence[tuple[Target, bool]]) -> None:
    """Bare names first, then ids, then name@version: a model may be called `a@1`, and keeps its name."""
    for target, default in entries:
        if default:
            names.setdefault(target.name, target)
    for target, default in entries:
        if default:
            names.setdefault(target.model_id, target)
        names.setdefault(target.version_id, target)
        names.setdefault(f"{target.name}@{target.version}", target)


def _allowed(target: Target, caller: Principal, name: str) -> Target:
    if caller.models is not None and target.model_id not in caller.models:
        raise ModelNotFound(name)
    if not caller.may_predict:
        raise MayNotPredict
    return target
