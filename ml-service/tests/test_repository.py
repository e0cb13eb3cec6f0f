"""Which version answers to which name."""

from uuid import UUID

import pytest
from mill_contracts.ids import new_id
from mill_contracts.routing import Route
from mill_serving.errors import CredentialsMissing, MayNotPredict, ModelNotFound
from mill_serving.repository import build_catalogue
from mill_serving.targets import Principal, Target

WORKSPACE, OTHER = new_id(), new_id()
DEMO = Target("demo-id", "demo-version", "demo", 1, sha256="d", size=1, public=True)


def route(name: str = "income", version: int = 1, model: UUID | None = None, workspace: UUID = WORKSPACE) -> Route:
    return Route(
        model_id=model or new_id(),
        model_version_id=new_id(),
        workspace_id=workspace,
        name=name,
        version=version,
        object_key="models/a/b/model.mill",
        sha256="0" * 64,
        size=1,
    )


def caller(workspace: UUID = WORKSPACE, may_predict: bool = True, models: frozenset[str] | None = None) -> Principal:
    return Principal(workspace, new_id(), None, may_predict, models)


def test_the_previous_version_keeps_the_name_until_the_new_one_is_ready() -> None:
    old = route().model_copy(update={"is_default": False})
    new = route(version=2, model=old.model_id).model_copy(update={"previous_version_id": old.model_version_id})
    waiting = build_catalogue([new, old], (), lambda _: False)
    assert waiting.find("income", caller()).version == 1
    assert waiting.find(str(old.model_id), caller()).version == 1
    assert waiting.find("income@2", caller()).version == 2
    ready = build_catalogue([new, old], (), lambda version: version == new.model_version_id)
    assert ready.find("income", caller()).version == 2
    assert ready.find("income@1", caller()).version == 1


def test_a_version_without_a_previous_one_serves_at_once() -> None:
    orphan = route().model_copy(update={"previous_version_id": new_id()})
    assert build_catalogue([orphan], (), lambda _: False).find("income", caller()).version == 1


def test_two_workspaces_may_use_one_name() -> None:
    ours, theirs = route(), route(workspace=OTHER)
    catalogue = build_catalogue([ours, theirs], (), lambda _: True)
    assert catalogue.find("income", caller()).model_id == str(ours.model_id)
    assert catalogue.find("income", caller(OTHER)).model_id == str(theirs.model_id)
    with pytest.raises(ModelNotFound):
        catalogue.find(str(theirs.model_id), caller())


def test_an_own_model_goes_before_a_shared_one_and_anybody_gets_the_shared_one() -> None:
    own = route("demo")
    catalogue = build_catalogue([own], (DEMO,), lambda _: True)
    assert catalogue.find("demo", caller()).model_id == str(own.model_id)
    assert catalogue.find("demo", None) is DEMO
    assert catalogue.find("demo", caller(OTHER)) is DEMO


def test_a_public_route_needs_no_caller_and_a_private_one_does() -> None:
    catalogue = build_catalogue([route("open").model_copy(update={"public": True}), route()], (), lambda _: True)
    assert catalogue.find("open", None).name == "open"
    with pytest.raises(CredentialsMissing):
        catalogue.find("income", None)
    assert [target.name for target in catalogue.visible(None)] == ["open"]


def test_a_key_without_the_scope_or_for_other_models_gets_nothing() -> None:
    catalogue = build_catalogue([route()], (), lambda _: True)
    with pytest.raises(MayNotPredict):
        catalogue.find("income", caller(may_predict=False))
    with pytest.raises(ModelNotFound):
        catalogue.find("income", caller(models=frozenset({"another"})))
    assert catalogue.visible(caller(may_predict=False)) == []


def test_a_name_that_looks_like_a_version_keeps_its_model() -> None:
    plain, odd = route("income"), route("income@1", version=4)
    catalogue = build_catalogue([plain, odd], (), lambda _: True)
    assert catalogue.find("income@1", caller()).version == 4
    assert catalogue.find("income@1@4", caller()).version == 4
