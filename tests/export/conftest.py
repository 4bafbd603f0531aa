"""A run's folder as the two back ends leave it, of a tiny model, without training."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from recipe.zppo.config.compose import compose
from recipe.zppo.export.__main__ import main
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE, LOCAL_STATE
from recipe.zppo.run.start_record import record_start
from tests.event_lines import measured
from tests.runnable import row, write_rows
from tests.tiny_models import make_qwen3

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"
"""The run's own, not the model's."""


@dataclasses.dataclass
class Finished:
    """A run whose base is `folder/tiny/base`; `weights` are those of all its checkpoints."""

    folder: Path
    base: Path
    weights: dict[str, torch.Tensor]

    def verl(self, step: int, weights: dict[str, Any] | None = None) -> Path:
        """A checkpoint of verl's FSDP engine on one rank; gives its `actor/`."""
        actor = self.folder / f"global_step_{step}" / "actor"
        actor.mkdir(parents=True, exist_ok=True)
        torch.save(weights or self.weights, actor / "model_world_size_1_rank_0.pt")
        (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
        self.configs(actor / "huggingface")
        (actor.parent / COMPLETE_FILE).write_text("{}")
        return actor

    def configs(self, folder: Path) -> Path:
        """As verl saves them beside the weights: no generation config that transformers would refuse."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.base.glob("*.json"):
            if path.name != "generation_config.json":
                (folder / path.name).write_bytes(path.read_bytes())
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        return folder

    def forget(self) -> None:
        """How it was started: as one from before there were records."""
        (self.folder / "starts.jsonl").unlink()

    def local(self, step: int) -> None:
        state = {"format": 2, "step": step, "weights": list(self.weights.values()), "optimizer": {}}
        torch.save(state, self.folder / LOCAL_STATE)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Finished:
    """Started, with metrics up to step 5, and nothing saved."""
    root = tmp_path_factory.mktemp("export")
    base, folder = root / "tiny" / "base", root / "run"
    model = make_qwen3(len(tokenizer))
    model.save_pretrained(base)
    GenerationConfig(eos_token_id=3, do_sample=False, temperature=0.6).to_json_file(base / "generation_config.json")
    tokenizer.save_pretrained(base)
    torch.manual_seed(1)
    weights = {name: weight.detach() + 0.01 * torch.randn_like(weight) for name, weight in model.named_parameters()}
    data = write_rows(root / "questions.parquet", [row(number) for number in range(4)])
    config = compose(
        [
            *("platform=cpu", "preset=tiny", "method=grpo_replay", "zppo.replay.fraction=0.5"),
            *(f"data.train_files={data}", f"data.val_files=[{data}]", f"actor_rollout_ref.model.path={base}"),
            f"actor_rollout_ref.model.custom_chat_template='{TEMPLATE}'",
            *(f"trainer.default_local_dir={folder}", "zppo.teacher.path=/models/big/teacher"),
            "+ray_kwargs.ray_init.runtime_env.env_vars.MY_TOKEN=secret",
        ]
    )
    record_start(config)
    accuracies = {0: 0.25, 1: None, 3: 0.5, 4: 0.75, 5: 0.625}
    rows: list[dict[str, float]] = []
    for step, accuracy in accuracies.items():
        rows.append({"step": step})
        if step:
            rows[-1] |= {"zppo/buffer/size": 2, "zppo/buffer/admissions": 3 * step, "zppo/buffer/graduations": step}
        if accuracy is not None:
            rows[-1] |= {"val-core/a|b/acc/mean@1": accuracy, "zppo/validation/a|b/questions": 16}
    (folder / "events.jsonl").write_text(measured(rows))
    return Finished(folder, base, weights)


@pytest.fixture
def finished(recorded: Finished, tmp_path: Path) -> Finished:
    """The same in a folder of the test's own."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in recorded.folder.iterdir():
        os.link(path, folder / path.name)
    return dataclasses.replace(recorded, folder=folder)


@pytest.fixture
def zppo(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """``zppo("export", ...)`` gives what is said; of one that is refused the one line on stderr."""

    def run(*arguments: object, status: int = 0) -> str:
        capsys.readouterr()
        try:
            ended = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            ended = stopped.code
        said = capsys.readouterr()
        assert ended == status, said.err
        if not status:
            return said.out
        (line,) = [line for line in said.err.splitlines() if line and "shards:" not in line]  # a bar of tqdm's
        assert line.startswith("zppo: ")
        return line.removeprefix("zppo: ")

    return run
