"""Refusals of an upload, before any domain has seen it."""

from mill_kit.problems import Invalid, Problem, TooLarge


class NotMultipart(Problem):
    status = 415
    slug = "not-multipart"
    title = "The body is not multipart/form-data"


class MalformedUpload(Invalid):
    slug = "malformed-upload"
    title = "The upload cannot be read"


class UploadTooLarge(TooLarge):
    slug = "upload-too-large"
    title = "The file is larger than this platform accepts"


class EmptyFile(Invalid):
    slug = "empty-file"
    title = "The file is empty"


class ClientLeft(Problem):
    """Nobody reads this answer; it ends the request and shows in the log."""

    status = 400
    slug = "client-left"
    title = "The client left before the upload was complete"
