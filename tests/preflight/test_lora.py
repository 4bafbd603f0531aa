"""LoRA settings that verl would ignore or fail on are refused in one line; the nearest ones that work pass."""

import json
from pathlib import Path

import pytest

from tests.runnable import Run

MODEL = "actor_rollout_ref.model"
RANK = f"{MODEL}.lora_rank=8"


MERGE, HF, TARGETS = f"{MODEL}.lora.merge=true", "actor_rollout_ref.rollout.name=hf", f"{MODEL}.target_modules"
BARE = "+actor_rollout_ref.actor.checkpoint.save_lora_only=true"

CASES = [
    *((f"{MODEL}.lora_rank={n}", f"{MODEL}.lora_rank: must be a whole number…") for n in ("-1", "1.5", "true", "null")),
    (f"{RANK} {MODEL}.lora_alpha=0", f"{MODEL}.lora_alpha: must be positive…"),
    (f"{RANK} {MODEL}.lora_alpha=null", f"{MODEL}.lora_alpha: must be positive, got None…"),
    (f"{RANK} {TARGETS}=7", f"{TARGETS}: expected all-linear, a pattern or a list of names, got 7"),
    (f"{RANK} {TARGETS}=[q_proj,3]", f"{TARGETS}: expected all-linear…", f"{MODEL}.lora.rank=null"),
    (f"{RANK} {TARGETS}=[]", f"{TARGETS}: names no module…"),
    (f"{RANK} {TARGETS}=[q_proj,lm_head]", f"{TARGETS}: verl's FSDP engine can't adapt …"),
    (f"{RANK} {TARGETS}=[model.embed_tokens]", f"{TARGETS}: verl's FSDP engine can't adapt …"),
    (f"{RANK} {TARGETS}='.*(q_proj|lm_head)'", f"{TARGETS}: verl's FSDP engine can't adapt …"),
    (f"{RANK} {HF}", f"{MODEL}.lora.merge: must be true with rollout.name=hf…", f"{RANK} {HF} {MERGE}"),
    (f"{MODEL}.lora_rank=513", "…rank 512 at most, got 513…", f"{MODEL}.lora_rank=513 {MERGE}"),
    (f"{RANK} {BARE}", "…leaves without the base…", f"{RANK} {BARE} zppo.export.hf_model=false"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_it_is_refused_and_the_nearest_case_passes(run: Run, case: tuple[str, ...]) -> None:
    run.check_case(*case)


def adapter(run: Run, **changes: object) -> Path:
    path = run.folder / "adapter"
    path.mkdir(exist_ok=True)
    (path / "adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 16, "bias": "none"} | changes))
    return path


def test_a_lora_student_passes(run: Run) -> None:
    run.check(RANK)
    run.check(RANK, f"{MODEL}.lora_alpha=32", f"{MODEL}.target_modules=[q_proj,v_proj]", f"{MODEL}.lora.merge=true")
    run.check(RANK, f"{MODEL}.lora_adapter_path={adapter(run)}")


def test_keys_of_the_other_engine(run: Run) -> None:
    assert run.refused(f"{MODEL}.lora.rank=8").startswith(f"{MODEL}.lora.rank: only Megatron reads it")
    megatron = "actor_rollout_ref.actor.strategy=megatron"
    assert run.refused(megatron, RANK).endswith(f"set {MODEL}.lora.rank")
    assert run.refused(megatron, f"{MODEL}.lora_adapter_path=x").endswith(f"set {MODEL}.lora.adapter_path")
    assert run.refused(megatron, f"{MODEL}.lora.rank=8").startswith("zppo.export.hf_model: verl's merger")
    run.check(megatron, f"{MODEL}.lora.rank=8", "zppo.export.hf_model=false")


def test_adapter_without_rank(run: Run) -> None:
    message = run.refused(f"{MODEL}.lora_adapter_path={adapter(run)}")
    assert message.startswith(f"{MODEL}.lora_adapter_path: ignored while {MODEL}.lora_rank=0")


def test_adapter_folder(run: Run) -> None:
    key = f"{MODEL}.lora_adapter_path"
    assert "has no adapter_config.json" in run.refused(RANK, f"{key}={run.folder}/none")
    path = adapter(run)
    (path / "adapter_config.json").write_text("{}")
    assert "can't be read as the config" in run.refused(RANK, f"{key}={path}")
    assert run.refused(RANK, f"{key}={adapter(run, r=16)}").startswith(f"{MODEL}.lora_rank: 8 would be ignored")
    assert run.refused(RANK, f"{key}={adapter(run, lora_alpha=8)}").startswith(f"{MODEL}.lora_alpha: 16 would be")
    for change in ({"use_dora": True}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 4}}, {"bias": "all"}):
        assert f"has {next(iter(change))}=" in run.refused(RANK, f"{key}={adapter(run, **change)}")
    assert "has modules_to_save" in run.refused(RANK, f"{key}={adapter(run, modules_to_save=['lm_head'])}")


def test_vision_tower(run: Run) -> None:
    run.model("student", max_position_embeddings=40_960, vision_config={})
    assert run.refused(RANK).startswith(f"{MODEL}.exclude_modules: {run.student} has a vision tower")
    hub = "actor_rollout_ref.model.path=Qwen/Qwen3.5-2B"  # not on this machine, but known
    assert "has a vision tower" in run.refused(RANK, hub, f"{MODEL}.use_remove_padding=false")
    run.check(RANK, f"{MODEL}.exclude_modules='.*visual.*'")
    run.check(RANK, "actor_rollout_ref.rollout.name=hf", f"{MODEL}.lora.merge=true")
