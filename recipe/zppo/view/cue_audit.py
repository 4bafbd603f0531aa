r"""Whether candidates of BCQs give themselves away: ``python -m recipe.zppo.cue_audit RUN_DIR``.

A linear classifier is told nothing of what a candidate says, only how it looks, and guesses which one is right. At 50%
the looks tell nothing. A student that learns such a cue is rewarded without reading the question.

- Each cue (`GROUPS`) is some numbers of one candidate; the classifier sees the first candidate's minus the second's.
- Cross-validated in ten parts. All BCQs of a question are in one part, so that no question is known by heart.
- The interval is Wilson's, 95%, for as many guesses as there are questions: those of one question count as one. The
  folds share a classifier's mistakes, so with a hundred questions shares scatter up to 1.4 times as wide.

Reads the rollout files of the run. Exit status 2, with one line, where there are too few BCQs.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from recipe.zppo.answer_format import BOX, PAPER, PLACE, AnswerFormat
from recipe.zppo.config.ending import Arguments, command
from recipe.zppo.errors import ZPPOError
from recipe.zppo.methods.candidate_questions import FORMS
from recipe.zppo.run.folder import RunFolder, RunFolderError
from recipe.zppo.view.candidate_match import shown_answer
from recipe.zppo.view.interval import Proportion
from recipe.zppo.view.screen import Screen
from recipe.zppo.view.title import print_title

WARN_ABOVE = 0.6
"""Share of right guesses above which a cue is worth a warning, if chance does not explain it (the interval)."""

MIN_QUESTIONS = 50
"""Of fewer, the interval would reach 14 points to either side."""

FOLDS = 10

MIN_OPENINGS = 5
"""Words that fewer candidates open with are left out: what is learnt from them holds for no other candidate."""

GROUPS = {
    "length": "characters, words and lines",
    "form": "the teacher's summary or the response's own words",
    "box": "whether there is a box, how many, and whether it ends with one",
    "opening": "the first three words",
    "position": "first or second",
}
"""Cues, and what a candidate's numbers are for each."""

Features = dict[str, float]


class MissingScikitLearnError(ZPPOError, ImportError):
    """scikit-learn is not installed."""


@dataclass(frozen=True)
class Pair:
    """The two candidates of one BCQ, as shown."""

    question: str
    features: tuple[dict[str, Features], dict[str, Features]]
    """Of each candidate, by cue."""
    first_is_right: bool
    form: str


def read_pairs(groups: Iterable[dict[str, Any]], answers: AnswerFormat = PAPER) -> list[Pair]:
    """The lines of rollout files with one right and one wrong candidate; ``answers`` says how answers stand there."""
    pairs = []
    for group in groups:
        candidates = group.get("candidates") or []
        if len(candidates) != 2 or candidates[0]["correct"] == candidates[1]["correct"]:
            continue
        summaries = {candidate["compression"] == "teacher" for candidate in candidates}
        form = "mixed" if len(summaries) > 1 else "summary" if True in summaries else "raw"
        features = _features(candidates[0], 0, answers), _features(candidates[1], 1, answers)
        pairs.append(Pair(str(group["prompt_id"]), features, bool(candidates[0]["correct"]), form))
    return pairs


def _features(candidate: dict[str, Any], place: int, answers: AnswerFormat) -> dict[str, Features]:
    text = str(candidate.get("text") or "").strip()
    words = text.split()
    before, _, after = (re.escape(part) for part in answers.form.partition(PLACE))
    ends_with_it = re.search(rf"{before}[^\n]*{after}\W*\Z", text[-600:]) is not None
    return {
        "length": {
            "characters": np.log1p(len(text)),
            "words": np.log1p(len(words)),
            "lines": np.log1p(text.count("\n")),
        },
        "form": {"summary": float(candidate["compression"] == "teacher")},
        "box": {
            "any": float(bool(shown_answer(candidate))),
            "boxes": np.log1p(text.count(answers.marker)),
            "last": float(ends_with_it),
        },
        "opening": {f"{i} {word.lower()[:32]}": 1.0 for i, word in enumerate(words[:3])},
        "position": {"first": float(place == 0)},
    }


def audit(pairs: Sequence[Pair]) -> dict[str, Proportion]:
    """The share of right guesses from each of `GROUPS`, and from ``all`` of them.

    Raises:
        RunFolderError: fewer questions than `MIN_QUESTIONS`.
        MissingScikitLearnError: see there.
    """
    names, questions = np.unique([pair.question for pair in pairs], return_inverse=True)
    if (number := len(names)) < MIN_QUESTIONS:
        raise RunFolderError(
            f"{number} questions with a right and a wrong candidate are too few to tell a cue from chance; "
            f"it takes {MIN_QUESTIONS}"
        )
    shares = {}
    for name, cues in {**{name: [name] for name in GROUPS}, "all": list(GROUPS)}.items():
        hits = _guesses(pairs, cues, questions)
        by_question = np.bincount(questions, hits) / np.bincount(questions)
        shares[name] = Proportion(float(by_question.mean()), number)
    return shares


def _guesses(pairs: Sequence[Pair], cues: Sequence[str], questions: np.ndarray) -> np.ndarray:
    """1 for each pair whose right candidate a classifier of other questions has guessed, 0.5 where it could not say."""
    try:
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GroupKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingScikitLearnError("the audit needs scikit-learn: pip install 'open-zppo[audit]'") from error

    differences = _without_rare([_difference(pair, cues) for pair in pairs])
    swapped = [{name: -value for name, value in each.items()} for each in differences]
    right = np.array([pair.first_is_right for pair in pairs])
    hits = np.empty(len(pairs))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(differences, groups=questions):
        # Each pair both ways round, and no constant: only the difference of the two can tell.
        model = make_pipeline(
            DictVectorizer(), StandardScaler(with_mean=False), LogisticRegression(fit_intercept=False, max_iter=1000)
        )
        model.fit(
            [each[i] for each in (differences, swapped) for i in train], np.concatenate([right[train], ~right[train]])
        )
        scores = model.decision_function([differences[i] for i in test])
        hits[test] = np.where(np.abs(scores) < 1e-9, 0.5, (scores > 0) == right[test])
    return hits


def _difference(pair: Pair, cues: Sequence[str]) -> Features:
    first, second = ({name: v for cue in cues for name, v in features[cue].items()} for features in pair.features)
    return {name: first.get(name, 0.0) - second.get(name, 0.0) for name in first | second}


def _without_rare(differences: list[Features]) -> list[Features]:
    seen = Counter(name for each in differences for name in each)
    kept = [{name: value for name, value in each.items() if seen[name] >= MIN_OPENINGS} for each in differences]
    return [{"nothing": 0.0} | each for each in kept]  # scikit-learn wants a column


def is_cue(share: Proportion) -> bool:
    return share.value > WARN_ABOVE and share.low > 0.5


def warning(shares: dict[str, Proportion]) -> str | None:
    """One line where looks tell the right candidate."""
    found = [f"{name} {share.value:.0%}" for name, share in shares.items() if is_cue(share)]
    if not found:
        return None
    return (
        f"WARNING: the right candidate can be told by its looks ({', '.join(found)}; more than {WARN_ABOVE:.0%}): the "
        "student may learn the cue instead of the answer. See zppo.compression.mixed_forms and docs/method/methods.md"
    )


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.cue_audit", description=__doc__.split("\n")[0])
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    options = parser.parse_args(arguments)
    run = RunFolder(options.run_dir)
    pairs = read_pairs(run.groups_with_texts(), AnswerFormat(form=run.setting("zppo.answer.form", BOX)))
    shares = audit(pairs)
    forms = [pair.form for pair in pairs]
    counts = ", ".join(f"{forms.count(form)} {form}" for form in FORMS if form in forms)
    console = Screen()
    print_title(run, console)
    console.print(f"{len(pairs)} BCQs of {shares['all'].whole} questions: {counts}", highlight=False)
    table = Table("cue", "right guesses", "95%", "", box=None)
    for name, share in shares.items():
        interval = f"{share.low:.1%} to {share.high:.1%}"
        table.add_row(name, f"{share.value:.1%}", interval, GROUPS.get(name, "all of these"))
    console.print(table)
    if line := warning(shares):
        console.print(line, style="bold", highlight=False, soft_wrap=True)
    return 0
