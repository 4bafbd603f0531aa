"""The keys `zppo.answer` are refused before Ray where they could not work."""

import pytest

from recipe.zppo import answer_format
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.answers import check_answers


def zppo(**answer):
    judge, teacher = {"max_answer_tokens": 9}, {"nnodes": 1, "response_length": 9, "path": "teacher", "inference": {}}
    return validate_zppo({"answer": answer, "judge": judge, "teacher": teacher})


def test_what_passes_holds_for_this_process(tmp_path):
    check_answers(zppo())
    assert answer_format.chosen() == answer_format.PAPER
    (tmp_path / "mine.py").write_text("def extract_answer(text): return text.split()[-1]")
    check_answers(zppo(closer="", form="#### {answer}", path=f"{tmp_path}/mine.py"))
    assert answer_format.chosen().extract("it is 4") == "4" and answer_format.chosen().closer == ""


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"form": "####"}, "zppo.answer.form: expected a text with one {answer}, such as '#### {answer}', got '####'"),
        ({"form": "{answer} {answer}"}, "zppo.answer.form: expected a text with one"),
        ({"form": "{answer}!"}, "zppo.answer.form: '{answer}!' needs something before {answer} that announces it"),
        ({"form": "#\n{answer}"}, "zppo.answer.form: '#\\n{answer}' needs something before"),
        ({"form": "#### {answer}"}, "zppo.answer.closer: the paper's asks for a box, and zppo.answer.form is '#### "),
        ({"path": "nowhere.py"}, "zppo.answer.path: nowhere.py does not exist"),
        ({"path": "pkg://nowhere.at_all"}, "zppo.answer.path: nowhere.at_all can't be imported: ModuleNotFoundError"),
    ],
)
def test_keys_that_could_not_work_are_refused(answer, message):
    with pytest.raises(ConfigError) as error:
        check_answers(zppo(**answer))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = ", "zppo.answer.path: {file} can't be imported: SyntaxError: invalid syntax (mine.py, line 1)"),
        (
            "import nowhere",
            "zppo.answer.path: {file} can't be imported: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("def other(text): return text", "zppo.answer.name: {file} has no function extract_answer"),
        ("extract_answer = 3", "zppo.answer.name: extract_answer of {file} is not a function"),
        ("def extract_answer(text): return 3", "zppo.answer.name: extract_answer gave 3; an answer is a text"),
        ("def extract_answer(text): return text[999]", "zppo.answer.name: extract_answer failed on a response: IndexE"),
    ],
)
def test_a_function_that_could_not_work_is_refused(tmp_path, code, message):
    file = tmp_path / "mine.py"
    file.write_text(code)
    with pytest.raises(ConfigError) as error:
        check_answers(zppo(path=str(file)))
    assert str(error.value).startswith(message.format(file=file))
