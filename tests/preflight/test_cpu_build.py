"""What vLLM's CPU build cannot do with linear attention is refused; a GPU, other models and the remedies pass."""

from tests.runnable import Run

CPU = ("trainer.device=cpu", "actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.model.use_remove_padding=false")
BFLOAT16, FLOAT32 = ("actor_rollout_ref.rollout.dtype=" + name for name in ("bfloat16", "float32"))
TEACHERS_BFLOAT16, TEACHERS_FLOAT32 = ("+zppo.teacher.inference.dtype=" + name for name in ("bfloat16", "float32"))
LORA = "actor_rollout_ref.model.lora_rank=8"


def test_linear_attention_needs_bfloat16_and_whole_weights(run: Run) -> None:
    run.check(*CPU, FLOAT32, LORA)
    run.model("teacher", model_type="qwen3_5", max_position_embeddings=40_960)
    teachers = f"zppo.teacher.inference.dtype: {run.teacher} has linear attention"
    assert run.refused(*CPU, FLOAT32).startswith(teachers)
    assert run.refused(*CPU, BFLOAT16, TEACHERS_FLOAT32).startswith(teachers)  # which comes before the student's
    run.check(*CPU, FLOAT32, TEACHERS_BFLOAT16)
    run.check(*CPU, BFLOAT16, LORA)
    run.model("student", model_type="qwen3_5", max_position_embeddings=40_960)
    assert run.refused(*CPU, FLOAT32).startswith(f"actor_rollout_ref.rollout.dtype: {run.student} has linear attention")
    both = f"zppo.teacher.path={run.student}"
    assert run.refused(*CPU, BFLOAT16, both, TEACHERS_FLOAT32).startswith("zppo.teacher.inference.dtype: ")
    refused = run.refused(*CPU, BFLOAT16, LORA)
    assert refused.startswith(f"actor_rollout_ref.model.lora.merge: {run.student} has linear attention")
    run.check(*CPU, BFLOAT16, LORA, "actor_rollout_ref.model.lora.merge=true")
    run.check("actor_rollout_ref.model.use_remove_padding=false", FLOAT32, LORA)
