"""`python -m mill_trainer VERB --task FILE --report-fd N`: the worker starts the trainer this way."""

import sys

from mill_trainer.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
