"""On the path of every process that tests start (`tests/conftest.py`): no scikit-learn, as without the extra `audit`.

transformers imports it wherever it is installed, scipy with it, for a kind of generation that nothing here uses. That
is a fifth of the time in which a process of ours starts. The audit's tests run in pytest's own process.
"""

import sys

sys.modules["sklearn"] = None
