"""Why a model file from outside is not taken."""

from mill_kit.problems import Problem


class ModelFileRejected(Problem):
    """The file is none of the accepted formats, or not a sound and supported model of its format."""

    status = 422
    slug = "model-file-rejected"
    title = "The model file cannot be accepted"


class CodeInModelFile(Problem):
    """The file is a pickle, a joblib dump or holds one: loading it would run whatever code it names."""

    status = 422
    slug = "code-in-model-file"
    title = "The model file could run code"
