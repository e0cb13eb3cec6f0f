"""How large a model from outside may be. A model beyond these is refused before anything is built from it."""

from typing import Final

MAX_FILE_BYTES: Final = 512 * 2**20
MAX_FEATURES: Final = 50_000
MAX_CLASSES: Final = 1_000
MAX_TREES: Final = 100_000
MAX_NODES: Final = 20_000_000
MAX_LAYERS: Final = 64
MAX_ENTRIES: Final = 20_000
MAX_UNPACKED_BYTES: Final = 2 * 2**30
MAX_SCHEMA_BYTES: Final = 64 * 2**20
MAX_GRAPH_NODES: Final = 64
MAX_LABEL: Final = 256
