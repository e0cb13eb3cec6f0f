"""Which model a V2 request means, and who may load and unload it."""

from dataclasses import replace

from mill_serving.engine import Engine
from mill_serving.errors import CredentialsMissing, MayNotManage, ModelNotFound
from mill_serving.targets import Target


def find(engine: Engine, name: str, version: str, secret: str | None) -> Target:
    """By name or id, and a version's number or id where one is given. Raises what `Engine.find` does."""
    if not version:
        return engine.find(name, secret)
    try:
        return engine.find(f"{name}@{version}", secret)
    except (ModelNotFound, CredentialsMissing):
        target = engine.find(name, secret)
    if version in (str(target.version), target.version_id):
        return target
    return engine.find(f"{target.name}@{version}", secret)


def find_managed(engine: Engine, name: str, secret: str | None) -> Target:
    """A model of the caller's own workspace, for those who may deploy there. Raises `MayNotManage`."""
    caller = engine.identify(secret)
    if caller is None:
        raise CredentialsMissing
    engine.keeper.check()
    target = engine.rollout.catalogue.find(name, replace(caller, may_predict=True))
    if not caller.may_manage or target.workspace_id != caller.workspace_id:
        raise MayNotManage
    return target
