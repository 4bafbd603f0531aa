r"""One form of an answer for all who ask for it, read it and show it: the paper's `\boxed{}` unless told otherwise."""

import pytest

from recipe.zppo import answer_format, prompts
from recipe.zppo.answer_format import BOX, MAX_ANSWER, AnswerFormat
from recipe.zppo.candidates import Draft
from recipe.zppo.compression import Fallback, why_not_used
from recipe.zppo.errors import RewardFunctionError
from recipe.zppo.hints import leaks
from recipe.zppo.judge import shown_response
from recipe.zppo.reward import compute_score, extract_answer

HASHES = AnswerFormat(closer="", form="#### {answer}")
QUESTION = [{"role": "user", "content": "2 + 2?"}]


@pytest.fixture
def hashes():
    """This process goes by GSM8K's habit."""
    answer_format.use(HASHES)


@pytest.mark.parametrize(
    ("form", "text", "answer"),
    [
        ("#### {answer}", "so\n#### 42", "42"),
        ("#### {answer}", "#### 1\nno:\n####42 \nthat is all", "42"),
        ("#### {answer}", "#### ", None),
        ("#### {answer}", "####\n42", None),
        ("#### {answer}", "42", None),
        ("Answer: {answer}", "Answer: x = 3.", "x = 3."),
        ("<answer>{answer}</answer>", "<answer>1</answer> or <answer> 2\n</answer>", "2"),
        ("<answer>{answer}</answer>", "<answer>2", None),
        ("The answer is {answer}.", "The answer is 42. I hope so.", "42"),
        ("Final: \\boxed{{answer}}", "Final: \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("\\fbox{{answer}}.", "\\fbox{\\frac{1}{2}} is it", None),
        ("\\fbox{{answer}}", "\\fbox{\\frac{1}{2", None),
        ("\\text{reply}: {answer}", "\\text{reply}: 4", "4"),
        ("**{answer}**", "**41** no, **42** it is", "42"),
        ("#### {answer}", "#### " + "9" * MAX_ANSWER, "9" * MAX_ANSWER),
        ("#### {answer}", "#### " + "9" * (MAX_ANSWER + 1), None),
        ("<answer>{answer}</answer>", f"<answer>{'9' * (MAX_ANSWER + 1)}</answer>", None),
    ],
)
def test_the_last_answer_is_read_off_a_response(form, text, answer):
    assert AnswerFormat(form=form).extract(text) == answer


@pytest.mark.parametrize("form", ["#### {answer}", "Answer: {answer}", "<answer>{answer}</answer>", "**{answer}**"])
@pytest.mark.parametrize("answer", ["42", "\\frac{1}{2}", "x = 3", "1,000"])
def test_what_is_shown_is_what_is_read(form, answer):
    answers = AnswerFormat(form=form)
    assert answers.extract(f"thus\n{answers.shown(answer)}\n") == answer
    assert answers.marker in answers.shown(answer)


def test_the_paper_s_is_the_box():
    assert answer_format.chosen() == AnswerFormat() and AnswerFormat().boxed
    assert (AnswerFormat().shown("4"), AnswerFormat().marker) == ("\\boxed{4}", "\\boxed")
    assert prompts.closer() == prompts.CLOSER.text


def test_a_function_of_the_user_s_reads_it():
    answers = AnswerFormat(function=lambda text: text.split()[-1] if text else None)
    assert (answers.extract("it is 42"), answers.extract(""), answers.boxed) == ("42", None, False)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda text: text[100], "<lambda> failed on a response: IndexError: string index out of range"),
        (lambda text: 42, "<lambda> gave 42; an answer is a text, or None"),
    ],
)
def test_a_function_that_fails_stops_the_run(function, message):
    with pytest.raises(RewardFunctionError, match=message):
        AnswerFormat(function=function).extract("it is 42")


def test_prompts_ask_for_it_and_show_it_in_the_run_s_form(hashes):
    assert prompts.with_closer(QUESTION) == QUESTION
    (message,) = prompts.ncq_messages(QUESTION, ["3", None, "3", "5"], ["a"])
    assert "The following answers are all WRONG: #### 3, #### 5. Below are" in message["content"]
    (message,) = prompts.compression_messages("It is #### 4")
    assert "- End with the final answer in this form: #### ...\n" in message["content"]
    (message,) = prompts.hint_request_messages("It is #### 4")
    assert "do NOT include anything in this form: #### ..., and do NOT copy" in message["content"]
    assert "boxed" not in message["content"]
    answer_format.use(AnswerFormat(closer="", form="\\text{response}: {answer}"))
    (message,) = prompts.compression_messages("It is 4")
    assert "in this form: \\text{response}: ...\n" in message["content"]


def test_a_closer_of_the_run_s_own_ends_every_prompt():
    answer_format.use(AnswerFormat(closer="End with #### and the answer.", form="#### {answer}"))
    (message,) = prompts.with_closer(prompts.ncq_messages(QUESTION, ["3"], ["a"]))
    assert message["content"].endswith("</candidate>\n\nEnd with #### and the answer.")


def test_rewards_summaries_hints_and_the_judge_read_it(hashes, tokenizer):
    assert extract_answer("\\boxed{3}\n#### 4") == "4"
    assert compute_score("any", "#### 1/2", "\\frac{1}{2}") == {
        **{"score": 1.0, "acc": 1.0, "answer": "1/2", "doubtful": 0.0}
    }
    assert compute_score("any", "\\boxed{4}", "4")["answer"] == ""
    draft = Draft("2 + 2 is 5\n#### 5", "student", 0, False, ("4",), "5")
    found = [why_not_used(draft, f"Sum.\n{end}", 99, len) for end in ("#### 5", "#### 4", "\\boxed{5}")]
    assert found == [None, Fallback.ANSWER_CHANGED, Fallback.ANSWER_CHANGED]
    assert leaks("#### 7.0", "7") and not leaks("#### Hint\nFactor it.", "7") and not leaks("a \\boxed hint", "7")
    assert shown_response("I think\n#### 4", whole=False, max_tokens=9, tokenizer=tokenizer) == "4"


def test_another_process_is_told_with_the_call():
    """verl's remote reward manager hands over the keys."""
    keys = {"closer": "", "form": "#### {answer}", "path": None, "name": "extract_answer"}
    assert compute_score("any", "#### 4", "4", answer=keys)["score"] == 1.0
    assert compute_score("any", "#### 4", "4", answer=keys | {"form": BOX, "closer": None})["score"] == 0.0


def test_what_the_reward_function_has_read_goes_before_what_the_form_reads():
    draft = Draft("\\boxed{6}. No, the answer is five.", "student", 0, False, ("4",), "5")
    assert why_not_used(draft, "Sum. \\boxed{5}", 99, len) is None
    assert why_not_used(draft, "Sum. \\boxed{6}", 99, len) is Fallback.ANSWER_CHANGED
    assert Draft("\\boxed{6}", "student", 0, False, answer="").answer_read == ""
    assert Draft("\\boxed{6}", "student", 0, False).answer_read == "6"


def test_a_function_of_a_package_is_named_as_verl_names_it():
    assert answer_format.imported("pkg://recipe/zppo/errors") is answer_format.imported("pkg://recipe.zppo.errors")
