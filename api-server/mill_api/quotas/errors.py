"""What is refused when a workspace has used up what it may have."""

from mill_kit.problems import Forbidden


class QuotaExceeded(Forbidden):
    slug = "quota-exceeded"
    title = "The workspace has used up its quota"
