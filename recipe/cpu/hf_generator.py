"""A Hugging Face model that answers batches of requests: no Ray, no threads, no configuration object.

Prompts are left-padded to the longest of the batch; images of all rows travel together, in row order.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import GenerationConfig

from recipe.cpu import grouped_attention
from recipe.cpu.hf_sampling import BatchSampler, RowStopping, SamplingParams

_IMAGE, _VIDEO = "image", "video"

_SCORED_LOGITS = 2**26
"""Rows x positions x vocabulary of one forward pass that scores prompts: 256 MiB of logits in fp32."""


@dataclass(slots=True)
class Request:
    """`prompt_ids` with vision placeholders expanded, and the processor's features behind them."""

    prompt_ids: list[int]
    params: SamplingParams
    features: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    token_ids: list[int]
    log_probs: list[float] | None
    aborted: bool
    prompt_scores: "PromptScores | None" = None


class PromptScores(NamedTuple):
    """Tokens and their log-probs at temperature 1, (prompt length, max(1, k)) each, laid out as by verl's vLLM server.

    Row t is about token t + 1, given the tokens up to t: the most probable first, or with k = 0 the prompt's own. The
    last row, about what would come next, is filled with zeros.
    """

    token_ids: np.ndarray
    log_probs: np.ndarray


class HFGenerator:
    """Generates with `model` in evaluation mode on the CPU.

    Args:
        model: a causal language model, or a Qwen-VL style image-text-to-text model.
        tokenizer: bounds the tokens that may be drawn (ids the tokenizer lacks are never drawn) and gives the EOS.
        processor: of a vision model, else None.
        max_model_len: tokens of prompt and response together.
    """

    def __init__(self, model, tokenizer, processor=None, *, max_model_len: int):
        self.model = model.eval()
        if model.config._attn_implementation == "sdpa":
            model.set_attn_implementation(grouped_attention.register())
        self.processor = processor if hasattr(processor, "image_processor") else None
        self.max_model_len = max_model_len
        self.vocab_size = model.get_input_embeddings().weight.shape[0]
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.eos_token_ids = _eos_token_ids(model, tokenizer)
        # `generate` fills what a call leaves open (stop tokens, penalties) from here, for all rows alike.
        model.generation_config = GenerationConfig()
        self._token_id = {
            kind: getattr(self.processor, f"{kind}_token_id", None) for kind in (_IMAGE, _VIDEO) if self.processor
        }
        banned = {token for token in self._token_id.values() if token is not None}
        banned.update(range(len(tokenizer), self.vocab_size))
        self._banned = torch.tensor(sorted(banned), dtype=torch.long)
        self._takes_token_types = "mm_token_type_ids" in inspect.signature(model.forward).parameters

    # Requests

    def request(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        images: Sequence[Any] | None = None,
        videos: Sequence[Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
    ) -> Request:
        """Check a prompt and run the processor on its images; the response is cut to what the context leaves.

        Raises:
            ValueError: empty prompt, token outside the vocabulary, no room left for a response, or placeholders
                that do not match the images and videos.
        """
        prompt_ids = [int(token) for token in prompt_ids]
        if not prompt_ids:
            raise ValueError("the prompt is empty")
        if min(prompt_ids) < 0 or max(prompt_ids) >= self.vocab_size:
            raise ValueError(
                f"prompt token {min(prompt_ids) if min(prompt_ids) < 0 else max(prompt_ids)} is outside the model's "
                f"vocabulary of {self.vocab_size}"
            )
        features: dict[str, torch.Tensor] = {}
        for kind, data in ((_IMAGE, images), (_VIDEO, videos)):
            prompt_ids = self._add_vision(kind, prompt_ids, data, processor_kwargs or {}, features)
        if (params.prompt_logprobs or 0) > self.vocab_size:
            raise ValueError(
                f"prompt_logprobs={params.prompt_logprobs} is more than the model's vocabulary of {self.vocab_size}"
            )
        room = self.max_model_len - len(prompt_ids)
        if room < 1:
            raise ValueError(
                f"a prompt of {len(prompt_ids)} tokens leaves no room to generate within the model's context of "
                f"{self.max_model_len} tokens"
            )
        if params.max_tokens > room:
            params = replace(params, max_tokens=room)
        return Request(prompt_ids, params, features)

    def _add_vision(
        self, kind: str, prompt_ids: list[int], data: Sequence[Any] | None, kwargs: dict, features: dict
    ) -> list[int]:
        """Run the processor on `data`, put its output in `features` and expand the placeholders of `prompt_ids`.

        A run of equal placeholders stands for one image or video, however long it is: agent loops send them
        expanded by the tokenizing process, callers that build a prompt by hand send one each.
        """
        token = self._token_id.get(kind) if self.processor else None
        runs = _runs(prompt_ids, token)
        if not data:
            if runs:
                raise ValueError(f"the prompt has {kind} placeholders, but no {kind} came with it")
            return prompt_ids
        if token is None:
            raise ValueError(f"the request carries {kind} data, but the model takes no {kind}s")
        if kind == _IMAGE:
            if len(runs) != len(data):
                raise ValueError(f"the prompt has placeholders for {len(runs)} images, but {len(data)} came with it")
            output = self.processor.image_processor(images=list(data), return_tensors="pt", **kwargs)
        else:
            output = self._process_videos(data, kwargs)
        features.update({name: value for name, value in output.items() if isinstance(value, torch.Tensor)})
        grid = features[f"{kind}_grid_thw"]
        merge = getattr(self.processor, f"{kind}_processor").merge_size ** 2
        counts = (grid.prod(-1) // merge).tolist()
        if kind == _VIDEO:
            return _check_videos(prompt_ids, runs, counts)
        expanded, at = [], 0
        for (start, end), count in zip(runs, counts, strict=True):
            expanded += prompt_ids[at:start] + [token] * count
            at = end
        return expanded + prompt_ids[at:]

    def _process_videos(self, data: Sequence[Any], kwargs: dict) -> dict[str, Any]:
        processor = getattr(self.processor, "video_processor", None)
        if processor is None:
            raise ValueError("the request carries video data, but this environment has no video processor")
        # verl hands over (frames, metadata) pairs; frames were sampled when the prompt was built.
        frames = [video[0] if isinstance(video, tuple | list) else video for video in data]
        metadata = [video[1] if isinstance(video, tuple | list) else None for video in data]
        if all(item is not None for item in metadata):
            kwargs = {"video_metadata": metadata, **kwargs}
        return processor(videos=frames, return_tensors="pt", **{"do_sample_frames": False, **kwargs})

    # Batches

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], aborted=lambda: False) -> list[Response]:
        """Answer B requests together. `aborted` is asked after each token; what was drawn so far is returned."""
        scored = [request for request in requests if request.params.prompt_logprobs is not None]
        if not scored:
            return self._generate(requests, aborted)
        others = [request for request in requests if request.params.prompt_logprobs is None]
        scores, responses = iter(self._score(scored)), iter(self._generate(others, aborted) if others else ())
        return [
            Response([], None, aborted=False, prompt_scores=next(scores))
            if request.params.prompt_logprobs is not None
            else next(responses)
            for request in requests
        ]

    def _score(self, requests: Sequence[Request]) -> list[PromptScores]:
        """The model's probabilities of each prompt's tokens, several prompts to a forward pass."""
        longest = max(len(request.prompt_ids) for request in requests)
        at_once = max(1, _SCORED_LOGITS // (longest * self.vocab_size))
        scores: list[PromptScores] = []
        for start in range(0, len(requests), at_once):
            part = requests[start : start + at_once]
            inputs = self._model_inputs(part)
            if self.processor is None:  # else the model derives its own, three-dimensional ones
                inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
            logits = self.model(**inputs, use_cache=False).logits  # (rows, width, V), prompts at the right end
            for row, request in enumerate(part):
                length = len(request.prompt_ids)
                following = torch.tensor(request.prompt_ids[1:])
                scores.append(_prompt_scores(logits[row, -length:-1], following, request.params.prompt_logprobs))
        return scores

    def _generate(self, requests: Sequence[Request], aborted) -> list[Response]:
        params = [request.params for request in requests]
        sampler = BatchSampler(params, self._banned)
        stopping = RowStopping(params, self.eos_token_ids, aborted)
        inputs = self._model_inputs(requests)
        self.model.generate(
            **inputs,
            past_key_values=self._shared_prefill(requests, inputs),
            generation_config=GenerationConfig(do_sample=False, max_new_tokens=sampler.steps, pad_token_id=self._pad),
            logits_processor=[sampler],
            stopping_criteria=[stopping],
        )
        # One copy out of torch for the batch; slicing lists is cheaper than 2B small tensors.
        token_ids, log_probs = sampler.token_ids.T.tolist(), sampler.log_probs.T.tolist()
        return [
            Response(
                token_ids[row][:length],
                log_probs[row][:length] if params[row].logprobs else None,
                aborted=not done,
            )
            for row, (length, done) in enumerate(
                zip(stopping.lengths.tolist(), stopping.finished.tolist(), strict=True)
            )
        ]

    def _shared_prefill(self, requests: Sequence[Request], inputs: dict[str, torch.Tensor]):
        """Key-value cache of all prompt tokens but the last, each different prompt computed once; None if no gain.

        A group of G responses to one prompt is the normal case in training: this saves G - 1 of G prefills.
        """
        first_row: dict[tuple[int, ...], int] = {}
        rows = [first_row.setdefault(tuple(r.prompt_ids), row) for row, r in enumerate(requests)]
        width = inputs["input_ids"].shape[1]
        if self.processor is not None or width < 2 or len(first_row) > len(rows) // 2:
            return None
        unique = list(first_row.values())
        mask = inputs["attention_mask"][unique, : width - 1]
        cache = self.model(
            input_ids=inputs["input_ids"][unique, : width - 1],
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        at = {row: index for index, row in enumerate(unique)}
        cache.batch_select_indices(torch.tensor([at[row] for row in rows]))
        return cache

    def _model_inputs(self, requests: Sequence[Request]) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask (B, T), left-padded, and the vision features of all rows in row order."""
        width = max(len(request.prompt_ids) for request in requests)
        ids = [[self._pad] * (width - len(request.prompt_ids)) + request.prompt_ids for request in requests]
        input_ids = torch.tensor(ids)
        lengths = torch.tensor([len(request.prompt_ids) for request in requests])
        attention_mask = (torch.arange(width) >= width - lengths[:, None]).long()
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        names = {name for request in requests for name in request.features}
        for name in names:
            inputs[name] = torch.cat([request.features[name] for request in requests if name in request.features])
        if names and self._takes_token_types:
            types = torch.zeros_like(input_ids)
            for number, kind in ((1, _IMAGE), (2, _VIDEO)):
                if self._token_id[kind] is not None:
                    types[(input_ids == self._token_id[kind]) & attention_mask.bool()] = number
            inputs["mm_token_type_ids"] = types
        return inputs

    # Weights

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Copy named tensors into the model; returns the names taken, to be checked by `check_complete`.

        Raises:
            ValueError: a name or shape that the model does not have.
        """
        own = self._named_weights()
        taken = set()
        with torch.no_grad():
            for name, tensor in weights:
                target = own.get(name)
                if target is None:
                    raise ValueError(f"the trainer sent {name!r}, which the rollout's model does not have")
                if target.shape != tensor.shape:
                    raise ValueError(f"{name}: the trainer sent {tuple(tensor.shape)}, not {tuple(target.shape)}")
                target.copy_(tensor)
                taken.add(name)
        return taken

    def check_complete(self, names: set[str]) -> None:
        """Raise ValueError unless a sync under these names reached every weight (tied ones under any name)."""
        own = self._named_weights()
        reached = {own[name].data_ptr() for name in names}
        missing = [name for name, tensor in own.items() if tensor.data_ptr() not in reached]
        if missing:
            raise ValueError(f"the trainer left out {len(missing)} weights of the rollout's model, e.g. {missing[0]}")

    def _named_weights(self) -> dict[str, torch.Tensor]:
        from verl.utils.model import convert_weight_keys  # the trainer's names went through it, too

        return convert_weight_keys(self.model.state_dict(), self.model)


def _prompt_scores(logits: torch.Tensor, following: torch.Tensor, k: int) -> PromptScores:
    """Of the tokens ``following`` (T - 1,), by the logits (T - 1, V) that predict them."""
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    if k:
        best, ids = log_probs.topk(k, dim=-1)
    else:
        ids = following[:, None]
        best = log_probs.gather(-1, ids)
    filler = ((0, 1), (0, 0))
    return PromptScores(np.pad(ids.int().numpy(), filler), np.pad(best.numpy(), filler))


def _eos_token_ids(model, tokenizer) -> list[int]:
    """The model's generation config names them (there may be several); the tokenizer's counts as well."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = [] if configured is None else [configured] if isinstance(configured, int) else list(configured)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    return ids


def _runs(token_ids: list[int], token: int | None) -> list[tuple[int, int]]:
    """Half-open spans of consecutive `token`."""
    spans: list[tuple[int, int]] = []
    if token is None:
        return spans
    for at, value in enumerate(token_ids):
        if value != token:
            continue
        if spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans


def _check_videos(prompt_ids: list[int], runs: list[tuple[int, int]], counts: list[int]) -> list[int]:
    """Videos must come expanded: how a model family interleaves frames and time stamps is its processor's affair."""
    have, need = sum(end - start for start, end in runs), sum(counts)
    if have != need:
        raise ValueError(f"the prompt has {have} video placeholder tokens, the videos need {need}")
    return prompt_ids
