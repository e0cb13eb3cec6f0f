"""A worker whose broker takes back unconfirmed messages after `FAULTS_VISIBILITY` seconds instead of an hour. Run as a script."""

import os
import sys

from mill_api.__main__ import main
from mill_api.queue import apps

if __name__ == "__main__":
    patient = apps._PATIENT  # pyright: ignore[reportPrivateUsage] - the product has no setting for it
    patient["visibility_timeout"] = int(os.environ["FAULTS_VISIBILITY"])
    sys.exit(main(sys.argv[1:]))
