"""Projects hold datasets and models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelmill._errors import NotFound
from modelmill._pages import walk
from modelmill._people import ProjectMember
from modelmill._transport import Transport, path
from modelmill._types import Project


class Projects:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, name: str, *, description: str = "", tags: Sequence[str] = (), config: Mapping[str, Any] | None = None
    ) -> Project:
        body = {"name": name, "description": description, "tags": list(tags), "config": config}
        return Project.of(self._transport.create(path("projects"), body))

    def list(self, **filters: Any) -> Iterator[Project]:
        return walk(self._transport, path("projects"), Project, **filters)

    def get(self, project_id: str) -> Project:
        return Project.of(self._transport.get(path("projects", project_id)))

    def named(self, name: str) -> Project:
        """The project of exactly this name. Raises `NotFound`."""
        for project in self.list(text=name):
            if project.name == name:
                return project
        raise NotFound(404, {"title": "Not found", "detail": f"there is no project named {name!r}"})

    def change(self, project_id: str, **changes: Any) -> Project:
        return Project.of(self._transport.patch(path("projects", project_id), changes))

    def deletion(self, project_id: str) -> dict[str, int]:
        """What would go with the project: how many of each kind."""
        return self._transport.get(path("projects", project_id, "deletion"))["contents"]

    def delete(self, project_id: str, *, force: bool = False) -> None:
        """Delete the project with all it holds (`deletion` says what that is). `force` undeploys its live models first."""
        self._transport.delete(path("projects", project_id), force="true" if force else None)

    def members(self, project_id: str) -> Iterator[ProjectMember]:
        """Who is named in the project; all others have its `default_role`."""
        return walk(self._transport, path("projects", project_id, "members"), ProjectMember)

    def put_member(self, project_id: str, user_id: str, role: str) -> ProjectMember:
        """Name a member of the workspace as `viewer` or `editor`."""
        return ProjectMember.of(self._transport.put(path("projects", project_id, "members", user_id), {"role": role}))

    def remove_member(self, project_id: str, user_id: str) -> None:
        self._transport.delete(path("projects", project_id, "members", user_id))

    def hand_over(self, project_id: str, user_id: str) -> Project:
        """Make another member of the workspace the owner."""
        return Project.of(self._transport.put(path("projects", project_id, "owner"), {"user_id": user_id}))
