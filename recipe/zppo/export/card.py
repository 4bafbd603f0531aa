"""README.md of an exported model: what it is made of, as far as the run's records say. Unknown things are left out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from recipe.zppo.export.record import Record, changed_settings, is_hub_id, method_of, public_name
from recipe.zppo.export.source import Source
from recipe.zppo.view.held_out import Accuracy, Validation

PAPER = "[Zone of Proximal Policy Optimization](https://arxiv.org/abs/2606.18216)"

USE = """\
```python
from transformers import AutoTokenizer, {auto}

model = {auto}.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
```
With vLLM: `vllm serve {name}`."""


def write_card(folder: Path, name: str, source: Source, record: Record, dtype: str) -> None:
    """Write `folder/README.md`; the folder holds the model already.

    Args:
        name: `OWNER/NAME` on the hub, or the folder's name.
    """
    card = text(json.loads((folder / "config.json").read_text(encoding="utf-8")), name, source, record, dtype)
    (folder / "README.md").write_text(card, encoding="utf-8")


def text(model_config: dict[str, Any], name: str, source: Source, record: Record, dtype: str) -> str:
    """The card: YAML of the hub's form, then Markdown."""
    from huggingface_hub import ModelCardData

    base = public_name(str(record.model["path"])) if record.model.get("path") else None
    sees = "vision_config" in model_config
    head = ModelCardData(
        base_model=base if base and is_hub_id(base) else None,
        library_name="transformers",
        pipeline_tag="image-text-to-text" if sees else "text-generation",
        tags=["zppo", "reinforcement-learning", "arxiv:2606.18216"],
    )
    auto = "AutoModelForImageTextToText" if sees else "AutoModelForCausalLM"
    sections = {
        "Use": USE.format(auto=auto, name=_plain(name).replace('"', " ")),
        "Training": "\n".join(_training(base, source, record, dtype)),
        "Results": "\n".join(_results(record)),
        "Data": "\n".join(_data(record)),
        "Settings": _settings(record),
        "Made with": "\n".join(_made_with(record)),
    }
    body = "\n\n".join(f"## {title}\n{content}" for title, content in sections.items() if content)
    own = (
        name.rpartition("/")[2] if "/" in name or base is None else f"{base.rpartition('/')[2]} trained with open-zppo"
    )
    return f"---\n{head.to_yaml()}\n---\n\n# {_plain(own)}\n\n{body}\n"


def _training(base: str | None, source: Source, record: Record, dtype: str) -> Iterator[str]:
    if base:
        yield f"- Base model: {_code(base)}"
    if record.config and (method := method_of(record.config)):
        yield f"- Method: `{method[0]}` ({method[1]}), of {PAPER}"
    else:
        yield f"- Trained with open-zppo, after {PAPER}"
    if source.step is not None:
        yield f"- Checkpoint: step {source.step}"
    yield f"- Weights: {dtype}"
    rank = record.model.get("lora_rank")
    if rank:
        yield f"- LoRA of rank {rank}, merged into the base"


def _results(record: Record) -> Iterator[str]:
    if record.held_out:
        yield "Held-out accuracy, with the step at which it was measured (step 0 is before training):"
        yield ""
        yield "| data source | questions | first | best | last |"
        yield "|---|---|---|---|---|"
    for validation in record.held_out:
        yield _result_row(validation)
    if (fate := record.hard_questions) is not None:
        if record.held_out:
            yield ""
        yield (
            f"Hard questions met: {fate.admitted}. Of these {fate.graduated} graduated, that is, the student came to "
            f"solve them often enough; {fate.evicted} were pushed out of the replay buffer, and {fate.inside} were "
            "still in it."
        )


def _result_row(validation: Validation) -> str:
    def shown(measured: Accuracy) -> str:
        return f"{measured.value:.1%} (step {measured.step})"

    best = max(validation.history, key=lambda measured: measured.value)
    asked = "" if validation.questions is None else str(validation.questions)
    if validation.samples > 1:
        asked += f" x {validation.samples}"
    measured = [shown(each) for each in (validation.history[0], best, validation.history[-1])]
    return f"| {_code(validation.source)} | {asked} | {' | '.join(measured)} |"


def _data(record: Record) -> Iterator[str]:
    named = {"train_files": "training", "val_files": "held-out"}
    rows = [(use, file) for key, use in named.items() for file in record.data.get(key) or []]
    if rows:
        yield "| file | for | bytes | hash of its first and last megabyte (BLAKE2b, 16 bytes) |"
        yield "|---|---|---|---|"
    for use, file in rows:
        size = f"{file['bytes']:,}" if isinstance(file.get("bytes"), int) else ""
        digest = _code(file["hash_of_ends"]) if "hash_of_ends" in file else ""
        yield f"| {_code(public_name(str(file.get('file', ''))))} | {use} | {size} | {digest} |"


def _settings(record: Record) -> str:
    changed = changed_settings(record.config) if record.config else {}
    if not changed:
        return ""
    listed = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=100)
    # Longer than any within: whatever a value holds, it stays inside.
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", listed))])
    return f"Those that differ from the defaults:\n\n{fence}yaml\n{listed}{fence}"


def _made_with(record: Record) -> Iterator[str]:
    if record.code:
        changed = ", with changes that were not committed" if record.code.get("changed") else ""
        yield f"- open-zppo at commit {_code(str(record.code.get('commit')))}{changed}"
    if record.versions:
        yield "- " + ", ".join(f"{name} {_plain(version)}" for name, version in record.versions.items())


def _code(value: str) -> str:
    """In a code span, and in a table's cell: a name of the user's data can't leave it."""
    return f"`{_plain(value)}`"


def _plain(value: str) -> str:
    return re.sub(r"[`|<>\s]+", " ", value).strip()[:200]
