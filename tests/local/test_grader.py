"""The run's grader reaches whoever compares answers, and doubtful rewards reach metrics and files."""

import json

from recipe.zppo import reward

FUNCTION = """
from recipe.zppo import reward

def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    result = reward.compute_score(data_source, solution_str, ground_truth)
    answer = result["answer"]
    return result | {"doubtful": float(answer[-1:] in tuple("13579"))}
"""


def test_doubtful_rewards_are_counted_and_marked(train, tmp_path):
    (tmp_path / "odd.py").write_text(FUNCTION)
    trainer = train(f"reward.custom_reward_function.path={tmp_path}/odd.py", "trainer.total_training_steps=1")
    (line,) = trainer.metrics().values()
    groups = [json.loads(text) for text in (tmp_path / "run/rollouts/step_000001.jsonl").read_text().splitlines()]
    responses = [response for group in groups for response in group["responses"]]
    marked = [response for response in responses if response.get("doubtful")]
    assert line["zppo/reward/doubtful"] == len(marked) > 0
    assert marked == [response for response in responses if response["answer"][-1:] in tuple("13579")]


OWN = """
async def graded(solution_str, ground_truth, **_):
    return 0.7 if solution_str.endswith("}") else 0.2

def length(text):
    return f"{len(text)} characters"
"""


def test_a_reward_function_may_be_a_coroutine_and_give_points_and_answers_be_read_by_a_function(train, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    function = "reward.custom_reward_function"
    settings = [f"{function}.path={tmp_path}/own.py", f"{function}.name=graded", "trainer.total_training_steps=1"]
    settings += ["zppo.reward.binarize='>=0.5'", f"zppo.answer.path={tmp_path}/own.py", "zppo.answer.name=length"]
    trainer = train(*settings)
    lines = (tmp_path / "run/rollouts/step_000001.jsonl").read_text().splitlines()
    groups = [json.loads(line) for line in lines]
    responses = [response for group in groups for response in group["responses"]]
    assert all(response["reward"] == float(response["text"].endswith("}")) for response in responses)
    assert all(response["answer"] == f"{len(response['text'])} characters" for response in responses)
    shown = [candidate for group in groups for candidate in group["candidates"]]
    assert all(candidate["shown_answer"] == f"{len(candidate['text'])} characters" for candidate in shown)
    assert trainer.metrics()[1]["zppo/accuracy/all"] > 0
    assert trainer.metrics()[1]["zppo/reward/no_answer_share"] == 0


def test_the_careful_grader_has_nobody_to_doubt_it(train):
    trainer = train("zppo.reward.grader=careful", "trainer.total_training_steps=1")
    assert reward._chosen == "careful" and "zppo/reward/doubtful" not in trainer.metrics()[1]
    assert trainer.metrics()[1]["zppo/accuracy/all"] > 0
