"""The run's grader reaches whoever compares answers, and doubtful rewards reach metrics and files."""

import json

from recipe.zppo import reward

FUNCTION = """
from recipe.zppo import reward

def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    result = reward.compute_score(data_source, solution_str, ground_truth)
    answer = result["answer"]
    return result | {"doubtful": float(answer[-1:] in tuple("13579")), "answer": reward._chosen}
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


def test_the_careful_grader_has_nobody_to_doubt_it(train):
    try:
        trainer = train("zppo.reward.grader=careful", "trainer.total_training_steps=1")
        assert reward._chosen == "careful" and "zppo/reward/doubtful" not in trainer.metrics()[1]
        assert trainer.metrics()[1]["zppo/accuracy/all"] > 0
    finally:
        reward.use_grader("paper")
