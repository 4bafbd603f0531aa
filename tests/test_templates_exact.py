"""The strings of the method, spelled out once more: a changed letter here is a changed method."""

from recipe.zppo import prompts

QUESTION = [{"role": "user", "content": "1+1=?"}]

CLOSER = (
    r"You FIRST think about the reasoning process as an internal monologue and then provide the final answer. The "
    r"reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put in \boxed{}."
)


def text_of(messages):
    assert len(messages) == 1 and messages[0]["role"] == "user"
    return messages[0]["content"]


def test_closer_fig_8():
    assert text_of(prompts.with_closer(QUESTION)) == "1+1=?\n\n" + CLOSER
    assert prompts.CLOSER.figure == 8


def test_bcq_fig_17():
    assert text_of(prompts.with_closer(prompts.bcq_messages(QUESTION, r"so \boxed{2}", r"so \boxed{3}"))) == (
        "1+1=?\n\n"
        "Here are two candidate responses in <candidate> </candidate> tags to the question above. One is correct and "
        "another is wrong. Use these as references to help you solve the problem.\n"
        "<candidate>\n"
        "so \\boxed{2}\n"
        "</candidate>\n<candidate>\n"
        "so \\boxed{3}\n"
        "</candidate>\n\n" + CLOSER
    )
    assert prompts.BCQ.figure == 17


def test_ncq_fig_18():
    ncq = prompts.ncq_messages(QUESTION, ["3", None, "4", "3", ""], ["first", "second"])
    assert text_of(prompts.with_closer(ncq)) == (
        "1+1=?\n\n"
        r"The following answers are all WRONG: \boxed{3}, \boxed{4}. Below are the incorrect reasoning processes in "
        "<candidate> </candidate> tags.\n"
        "<candidate>\n"
        "first\n"
        "</candidate>\n<candidate>\n"
        "second\n"
        "</candidate>\n\n" + CLOSER
    )
    assert {t.figure for t in (prompts.NCQ_ANSWERS, prompts.NCQ_HEADER, prompts.NCQ_CANDIDATE)} == {18}


def test_ncq_without_any_answer_leaves_the_sentence_out():
    assert text_of(prompts.ncq_messages(QUESTION, [None, ""], ["only"])) == (
        "1+1=?\n\n"
        "Below are the incorrect reasoning processes in <candidate> </candidate> tags.\n"
        "<candidate>\n"
        "only\n"
        "</candidate>"
    )


def test_compression_fig_16():
    assert text_of(prompts.compression_messages("long text")) == (
        "Compress the response below into a summary (in 5 lines max). Rules:\n"
        "- Response is in <response>...</response> tags\n"
        "- Summary should be in <summary>...</summary> tags and should be in 5 lines max\n"
        "- Keep ONLY the essential reasoning steps and the final answer\n"
        "- Remove ALL exploratory text, self-corrections, retries, and filler\n"
        "- Do NOT re-derive or add new information\n"
        "- End with the final answer in \\boxed{} format\n"
        "<response>\n"
        "long text\n"
        "</response>"
    )
    assert prompts.COMPRESSION.figure == 16


def test_hint_fig_19():
    assert text_of(prompts.hint_request_messages("a solution")) == (
        "Read the solved response below and write a concise hint that helps solve the original question. Do NOT "
        "reveal the final answer, do NOT include any \\boxed{} expression, and do NOT copy the full solution. Keep "
        "only high-level guidance or the key intermediate idea.\n"
        "<response>\n"
        "a solution\n"
        "</response>"
    )
    assert text_of(prompts.hinted_messages(QUESTION, "add them")) == "1+1=?\n\n<hint>\nadd them\n</hint>"
    assert prompts.HINT_REQUEST.figure == prompts.HINT.figure == 19
