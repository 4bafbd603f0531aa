"""What the tests of the selection, on complete data and on arrival, have in common."""

from hypothesis import strategies as st

from recipe.zppo.randomness import derive_seed
from recipe.zppo.types import Kind

BOTH = (Kind.BCQ, Kind.NCQ)
RIVALS = [(Kind.HINT,), (Kind.PREFIX,), (Kind.HINT, Kind.NCQ)]
KINDS = st.sampled_from([BOTH, (Kind.NCQ, Kind.BCQ), (Kind.BCQ,), (Kind.NCQ,), (), *RIVALS])
THRESHOLDS = st.sampled_from([0.1, 0.5, 0.75, 1.0])
PRE_CAPS = st.sampled_from(["hard", "admissible"])
LIMITS = dict(threshold=0.5, cap=1, seed=0, step=0, kinds=BOTH)


def x_aug(questions, threshold, cap, seed, step):
    """The pre-cap of step 3: the hardest questions by id."""
    hard = [q for q in questions if q.accuracy < threshold]
    order = sorted(hard, key=lambda q: (q.accuracy, derive_seed(seed, "tie-break", step, q.prompt_id)))
    return {q.prompt_id: q for q in order[:cap]}
