"""A run's tracker has the tables of each validation, and of the last step."""

from pathlib import Path

from tests.run.test_trackers import needs


@needs("tensorboard")
def test_tensorboard_has_the_tables_of_a_run(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = train("trainer.logger=[tensorboard]")
    folder = Path(trainer.config.trainer.default_local_dir)
    read = EventAccumulator(str(folder / "tensorboard")).Reload()
    (said,) = read.Tensors("zppo/candidate_rollouts/text_summary")
    (hardest,) = read.Tensors("zppo/hardest_questions/text_summary")
    assert said.step == hardest.step == trainer.total_steps == 2
    shown = hardest.tensor_proto.string_val[0].decode()
    inside = [entry.prompt_id for entry in trainer.buffer.sample(100)]
    assert sorted(line.removeprefix("    id: ") for line in shown.split("\n") if "    id: " in line) == sorted(inside)
