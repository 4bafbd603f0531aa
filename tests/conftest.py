"""For all tests."""

import os

from verl.plugin.platform import get_platform

from recipe.cpu import use_cpu

# verl decides once a process, at whichever import comes first. Child processes get no word of it: they have tests too.
chosen = os.environ.get("VERL_PLATFORM")
use_cpu()
get_platform()
if chosen is None:
    del os.environ["VERL_PLATFORM"]

# Ray's workers are nice by default: beside other tests on few cores (`make test`) they would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")

# A cluster of its own for each run: Ray would join one that another test has started on this machine.
os.environ.setdefault("RAY_ADDRESS", "local")
