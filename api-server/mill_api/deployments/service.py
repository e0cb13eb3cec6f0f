"""The rules of deploying: what is asked while it trains happens when it is trained; the last good version stays at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork
from mill_api.deployments import repository
from mill_api.deployments.errors import CannotDeploy, NothingToRollBackTo
from mill_api.deployments.live import LiveVersions, policy_of, set_policy
from mill_api.deployments.rollout import Replicas, Rollout, RolloutState, rollout_of
from mill_api.deployments.schemas import DeployWish
from mill_api.deployments.tables import DeploymentRow
from mill_api.models import repository as models
from mill_api.models.reach import require_reach
from mill_api.models.tables import ModelVersionRow


@dataclass(frozen=True)
class DeploymentService:
    """What people ask for; `live` carries it out."""

    live: LiveVersions
    replicas: Replicas

    async def deploy(self, work: UnitOfWork, model_id: UUID, wish: DeployWish, who: Principal) -> DeploymentRow:
        """Make a version live, or note that it shall be when it is trained. Doing it twice changes nothing."""
        model, version = await models.version(work.session, model_id, wish.version)
        row = await repository.deployment_to_change(work.session, model)
        if wish.public is not None:
            row.public = wish.public
        if wish.policy is not None:
            set_policy(row, wish.policy.over(policy_of(row)))
        row.deployed_by = who.user_id
        if version.is_trained:
            _refuse_deprecated(version)
            await self.live.activate(work, row, model, version)
        elif version.problem is not None:
            raise CannotDeploy(f"The training of version {version.version} failed: {version.problem.get('detail')}")
        else:
            row.wanted_version_id = version.id
            await work.session.flush()
            await self.live.retell(work, row, model)
        policy = policy_of(row).model_dump()
        audit(work, who, "model.deployed", "model", model.id, version=version.version, public=row.public, policy=policy)
        return row

    async def rollback(self, work: UnitOfWork, model_id: UUID, who: Principal) -> DeploymentRow:
        """Make the version live that was live before; a second time there is none. Raises `NotDeployed`, `NothingToRollBackTo`."""
        model, _ = await models.model(work.session, model_id)
        row = await repository.existing_deployment(work.session, model_id)
        if row.previous_version_id is None:
            raise NothingToRollBackTo(f"No version of {model.name!r} was live before this one")
        previous = await models.version_by_id(work.session, row.previous_version_id)
        await self.live.go_back(work, row, model, previous)
        audit(work, who, "model.rolled-back", "model", model.id, version=previous.version)
        return row

    async def undeploy(self, work: UnitOfWork, model_id: UUID, who: Principal) -> None:
        """Take the model off. Raises `ModelNotFound`, `NotDeployed`."""
        require_reach(who, model_id)
        model, _ = await models.model(work.session, model_id)
        row = await repository.existing_deployment(work.session, model_id)
        audit(work, who, "model.undeployed", "model", model.id)
        await work.session.delete(row)
        await work.session.flush()
        await self.live.publisher.changed(work)

    async def rollout(self, row: DeploymentRow) -> Rollout:
        return (await self.rollouts([row]))[row.id]

    async def rollouts(self, rows: Sequence[DeploymentRow]) -> dict[UUID, Rollout]:
        """How far each has come, by deployment id."""
        reports = await self.replicas.reports() if rows else []
        return {
            row.id: Rollout(RolloutState.WAITING)
            if row.active_version_id is None
            else rollout_of(row.active_version_id, reports)
            for row in rows
        }


def _refuse_deprecated(version: ModelVersionRow) -> None:
    if version.deprecated_at is not None:
        raise CannotDeploy(f"Version {version.version} is deprecated; restore it first")
