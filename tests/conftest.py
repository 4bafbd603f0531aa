"""For all tests."""

import os

# Ray's workers are nice by default: beside other tests on few cores (`make test`) they would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")
