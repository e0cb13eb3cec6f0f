"""What projects refuse, and why."""

from mill_api.errors import Conflict, Forbidden, NotFound


class ProjectNotFound(NotFound):
    slug = "project-not-found"
    title = "No such project"


class ProjectNameTaken(Conflict):
    slug = "project-name-taken"
    title = "The workspace has a project of this name"


class ProjectArchived(Conflict):
    slug = "project-archived"
    title = "The project is archived"


class ProjectInUse(Conflict):
    slug = "project-in-use"
    title = "Models of the project are live"


class ProjectRoleTooLow(Forbidden):
    slug = "project-role-too-low"
    title = "Your role in this project does not allow this"


class NotAProjectMember(NotFound):
    slug = "not-a-project-member"
    title = "Nobody with this id is named in the project"
