"""Why a table cannot be scored by a model; `errors` name every column. Raw files may also be refused by `profile.problems`."""

from mill_kit.problems import Invalid


class MissingColumns(Invalid):
    """The table lacks columns the model was trained on."""

    slug = "missing-columns"
    title = "Columns the model needs are missing"


class WrongColumnKind(Invalid):
    """A column holds something else than the model was trained on, such as text for numbers."""

    slug = "wrong-column-kind"
    title = "A column does not hold what the model needs"
