"""What a child may use, set before any ML library is imported: they read their thread counts once, at import."""

import os
import resource

from mill_contracts.tasks import Limits

ADDRESS_SPACE_MARGIN_BYTES = 3 * 2**30
"""Code, thread stacks and arenas that libraries reserve but never touch; the rest of the limit is for data."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ARROW_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


def apply(limits: Limits) -> None:
    """Threads by environment, memory by address space: an allocation beyond it fails here and not in a neighbour."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(limits.threads)
    # Spinning threads of one process starve each other when a neighbour wants the cores: a fit of 1 s took 20 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    wanted = limits.memory_bytes + ADDRESS_SPACE_MARGIN_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
