"""A run in terms that a person understands: ``python -m recipe.zppo.summary RUN_DIR [--json]``.

RUN_DIR is the ``trainer.default_local_dir`` of the run, which may be finished, under way, or killed. Exit status 2,
with one line, where there is nothing to summarise.
"""

import json
import time
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from recipe.zppo.config.ending import Arguments, command
from recipe.zppo.methods import METHODS
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.types import Kind
from recipe.zppo.view import outcome
from recipe.zppo.view.doubtful import Doubtful
from recipe.zppo.view.held_out import Accuracy
from recipe.zppo.view.run_summary import NOISE_Z, Summary
from recipe.zppo.view.screen import Screen

_PLACES = {"hf_model": "Hugging Face model", "lora_adapter": "LoRA adapter", "tensorboard": "TensorBoard"}
"""What a person calls the places of `RunFolder.places`, where that is not their name."""


def print_summary(summary: Summary, console: Console) -> None:
    def line(text: str) -> None:
        # Text, so that a bracket in a path is no markup; soft_wrap, so that a path can be copied.
        console.print(Text(text), soft_wrap=True, highlight=False)

    of_total = f" of {summary.total_steps}" if summary.total_steps is not None else ""
    console.rule("[bold]ZPPO run", align="left")
    line(summary.run)
    stage = f", last seen in stage '{summary.stage}'" if summary.stage and summary.state != "finished" else ""
    method = f"{summary.method}, " if summary.method else ""
    line(f"{method}{summary.state}: {summary.steps}{of_total} steps{stage}")

    sections: dict[str, Iterable[str]] = {
        "Warnings": map(str, summary.warnings),
        "Held-out accuracy (plain questions, no candidates)": _held_out_lines(summary),
        "Hard questions in the replay buffer": _buffer_lines(summary, summary.buffer) if summary.buffer else (),
        "Reformulated questions": _reformulation_lines(summary),
        "Distillation": _distillation_lines(summary.distillation) if summary.distillation else (),
        "Left out of the updates": _left_out_lines(summary.left_out) if summary.left_out else (),
        "Teacher": _teacher_lines(summary, summary.teacher) if summary.teacher else (),
        "Judge": _judge_lines(summary.judge) if summary.judge else (),
        "Doubtful rewards": _doubtful_lines(summary.doubtful) if summary.doubtful else (),
        "Time and tokens": _time_lines(summary),
        "Where things lie": [f"{_PLACES.get(name, name):<20}{path}" for name, path in summary.places.items()],
    }
    for title, lines in sections.items():
        for i, text in enumerate(lines):
            if i == 0:
                console.print(f"\n[bold]{title}")
            line(f"  {text}")


def _held_out_lines(summary: Summary) -> Iterator[str]:
    if not summary.held_out:
        yield "not measured (see trainer.val_before_train and trainer.test_freq)"
    for validation in summary.held_out:
        questions = f", {validation.questions} questions" if validation.questions else ""
        samples = f", {validation.samples} answers to each" if validation.samples > 1 else ""
        before, after = validation.before, validation.after
        yield f"{validation.source}{questions}{samples}"
        yield f"  {_moment(before):<18}{_with_error(before)}"
        if after is None:
            yield "  measured once so far"
            continue
        yield f"  {_moment(after):<18}{_with_error(after)}"
        points = 100 * (after.value - before.value)
        yield f"  {'difference':<18}{points:+.1f} points, {_verdict(validation.z_score)}"


def _moment(accuracy: Accuracy) -> str:
    return "before training" if accuracy.step == 0 else f"after step {accuracy.step}"


def _with_error(accuracy: Accuracy) -> str:
    error = "" if accuracy.std_error is None else f" ± {accuracy.std_error:.1%}"
    return f"{accuracy.value:.1%}{error}"


def _verdict(z_score: float | None) -> str:
    if z_score is None:
        return "noise unknown: the number of questions was not logged"
    size = f"{abs(z_score):.1f} standard errors"
    return f"more than noise ({size})" if abs(z_score) > NOISE_Z else f"within noise ({size})"


def _buffer_lines(summary: Summary, fate: outcome.Fate) -> Iterator[str]:
    yield f"{fate.admitted} entered: {fate.graduated} graduated, {fate.evicted} evicted, {fate.inside} still inside"
    if fate.graduation_rate is not None:
        yield f"{_share(fate.graduated, fate.graduated + fate.evicted)} of those that left have graduated"
    zero = summary.buffer_by_entry_accuracy.get(0.0)
    if zero is not None and zero.graduation_rate is not None:
        yield (
            f"{_share(zero.graduated, zero.graduated + zero.evicted)} of those that entered without one right answer "
            "and left"
        )


def _reformulation_lines(summary: Summary) -> Iterator[str]:
    for name, kind in summary.reformulations.items():
        method = METHODS[Kind(name)]
        if kind.groups and kind.accuracy is not None:
            yield (
                f"{method.title}: {kind.groups} built, "
                f"{_share(kind.solved, kind.groups)} solved by at least one answer, "
                f"{kind.accuracy:.1%} of all answers right"
            )
        if kind.not_fitting or kind.failed:
            without = "without hint or answers" if method.writes_hint else "without answers"
            yield f"  lost: {kind.not_fitting} too long for the context, {kind.failed} {without}"
        if kind.forms:
            names = {"summary": "two summaries", "raw": "two responses' own words", "mixed": "one of each"}
            forms = ", ".join(f"{kind.forms[form]} of {text}" for form, text in names.items() if form in kind.forms)
            yield f"  candidates: {forms} (python -m recipe.zppo.cue_audit: can they be told by their looks?)"
        if kind.mixed_dropped:
            yield f"  dropped: {kind.mixed_dropped} with one summary and one response's own words"
        if kind.mixed_fell_back:
            yield f"  own words of both instead of one summary: {kind.mixed_fell_back}"
        if kind.leaked:
            yield f"  dropped: {kind.leaked} that gave the answer away"


def _distillation_lines(distillation: outcome.Distillation) -> Iterator[str]:
    if distillation.sequences is not None:
        yield f"{distillation.sequences} right responses of the teacher learned from"
    if distillation.first_loss is not None and distillation.last_loss is not None:
        yield (
            f"divergence from the teacher {distillation.first_loss:.4g} nats a token at the start, "
            f"{distillation.last_loss:.4g} at the end (tenths of the steps)"
        )


def _left_out_lines(left_out: outcome.LeftOut) -> Iterator[str]:
    if left_out.groups:
        yield f"{_share(left_out.dropped, left_out.groups)} groups: all answers right, or all wrong"
    if left_out.skipped_updates:
        yield f"{left_out.skipped_updates} updates skipped for want of groups"


def _teacher_lines(summary: Summary, teacher: outcome.Teacher) -> Iterator[str]:
    if teacher.asked:
        solved = "" if teacher.solved_share is None else f", solved {teacher.solved_share:.1%} of them"
        hard = "" if summary.distillation else "hard "
        yield f"asked {teacher.asked} {hard}questions{solved}"
    for i, share in summary.teachers.items():
        solved = f", solved {_share(share.solved, share.asked)}" if share.asked else ""
        yield f"  teacher {i}: asked {share.asked}{solved}"
    if teacher.hidden_share is not None:
        yield f"busy for {_duration(teacher.seconds)}, {teacher.hidden_share:.1%} of it hidden behind other work"
    fall_backs = sum(teacher.fall_backs.values())
    if teacher.compressions:
        reasons = ", ".join(f"{name} {count}" for name, count in teacher.fall_backs.items())
        yield (
            f"{teacher.compressions} candidates made, {fall_backs} ({fall_backs / teacher.compressions:.1%}) by falling"
            f" back on the end of the response{f': {reasons}' if reasons else ''}"
            f"{f'; {teacher.asked_again} summaries asked for again' if teacher.asked_again else ''}"
        )
    if teacher.failed_requests or teacher.late:
        cause = f"; last cause: {summary.teacher_error}" if summary.teacher_error else ""
        yield f"FAILED: {teacher.failed_requests} requests, {teacher.late} questions answered too late{cause}"


def _judge_lines(judge: outcome.Judge) -> Iterator[str]:
    if judge.verdicts:
        yield f"{judge.verdicts} verdicts, {judge.tokens:,} tokens; {_share(judge.correct, judge.verdicts)} correct"
    else:
        yield "not asked: no free-form answer came up, and nothing else was to be judged"
    if judge.unresolved:
        yield f"{_share(judge.unresolved, judge.verdicts)} on what the reward function left open"
    if judge.malformed:
        yield f"{_share(judge.malformed, judge.verdicts)} malformed, which counts as wrong"
    if judge.failed:
        yield f"FAILED: {judge.failed} responses got no verdict and were left out"


def _doubtful_lines(doubtful: Doubtful) -> Iterator[str]:
    yield f"{doubtful.count} would have been the other one by zppo.reward.grader=careful, such as"
    for example in doubtful.examples:
        verdict = "right" if example.paper else "wrong"
        yield f"  {example.prompt_id}: {example.answer!r} was {verdict}, for {example.gold!r}"


def _time_lines(summary: Summary) -> Iterator[str]:
    if (step := summary.step_time) is not None:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in step.parts_s.items())
        yield f"{step.mean_s:.2f} s a step: {parts}"
        if step.validation_s is not None:
            yield f"{step.validation_s:.2f} s a validation"
    if summary.student_tokens:
        yield f"{summary.student_tokens:,} tokens by the student, {summary.teacher_tokens:,} by the teacher"
    if summary.rollouts_failed:
        yield f"FAILED: {summary.rollouts_failed} rollouts gave no response"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else time.strftime("%H:%M:%S", time.gmtime(seconds))


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.summary", description="Summary of a ZPPO run.")
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args(arguments)
    summary = Summary.of(RunFolder(options.run_dir))
    if options.json:
        print(json.dumps(summary.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_summary(summary, Screen())
    return 0
