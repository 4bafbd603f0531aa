"""What the local back end does not do is refused in one line, with exit status 2."""

from recipe.zppo.compose import compose
from recipe.zppo.local.run import launch

from .conftest import overrides


def test_a_lora_student_is_refused(world, tmp_path, capsys):
    assert launch(compose(overrides(world, tmp_path / "run", "actor_rollout_ref.model.lora_rank=8"))) == 2
    assert "actor_rollout_ref.model.lora_rank: recipe.zppo.local trains all weights" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
