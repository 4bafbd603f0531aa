"""The methods: one class for each kind of extra group that a question can get beside its plain rollouts."""

from recipe.zppo.methods.base import Method, Visit
from recipe.zppo.methods.baselines import HintMethod, Prefix, TeacherSequences
from recipe.zppo.methods.candidate_questions import Bcq, Ncq
from recipe.zppo.methods.worked_solution import WorkedSolution
from recipe.zppo.types import Kind

METHODS: dict[Kind, Method] = {
    method.kind: method for method in (Bcq(), HintMethod(), Prefix(), WorkedSolution(), Ncq(), TeacherSequences())
}
"""In the order in which a question gets them."""

WALK = tuple(kind for kind, method in METHODS.items() if not method.off_policy)
"""Kinds that Algorithm 1's walk hands out, in the order within a question."""

HELPED = tuple(kind for kind in WALK if METHODS[kind].needs_help)
"""Those that need somebody's correct response. A run has one of them at most."""

DEFAULT_KINDS = (Kind.BCQ, Kind.NCQ)

__all__ = ["DEFAULT_KINDS", "HELPED", "METHODS", "WALK", "Method", "Visit"]
