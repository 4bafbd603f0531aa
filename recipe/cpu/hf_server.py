"""The rollout server actor of the back end "hf": what verl's clients and replicas call, over a `Batcher`."""

import asyncio
import logging
import os
from types import SimpleNamespace
from typing import Any

import torch
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.tokenizer import normalize_token_ids
from verl.workers.config import HFModelConfig, RolloutConfig
from verl.workers.rollout.replica import RolloutMode, TokenOutput
from verl.workers.rollout.utils import get_max_position_embeddings

from recipe.cpu.hf_batcher import Batcher, BatcherConfig
from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.hf_weights import check_complete, load_weights

logger = logging.getLogger(__name__)

_OPTIONS = ("quiet_s", "gather_s", "num_threads", "park_timeout_s")


class HFServer:
    """Token in, token out; one replica is one of these actors.

    Options under `rollout.engine_kwargs.hf`: `quiet_s`, `gather_s`, `num_threads` (see `BatcherConfig`; the number
    of threads defaults to OMP_NUM_THREADS, else 1) and `park_timeout_s`, how long a request waits for
    `resume_generation` after `abort_all_requests` before it fails (600).
    """

    def __init__(self, config: RolloutConfig, model_config, rollout_mode: RolloutMode, replica_rank: int):
        self.config: RolloutConfig = omega_conf_to_dataclass(config)
        self.model_config: HFModelConfig = omega_conf_to_dataclass(_with_sdpa(model_config), HFModelConfig)
        self.replica_rank = replica_rank
        self.rollout_mode = rollout_mode
        self.global_steps: int | None = None  # version of the weights, set by the trainer with each sync
        options = dict(self.config.engine_kwargs.get("hf") or {})
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise ValueError(f"rollout.engine_kwargs.hf.{unknown[0]} is unknown; there are {', '.join(_OPTIONS)}")
        self._park_timeout_s = float(options.pop("park_timeout_s", 600.0))
        options.setdefault("num_threads", int(os.environ.get("OMP_NUM_THREADS") or 1))
        self.max_model_len = self._context()
        torch.set_num_threads(options["num_threads"])
        self._generator = HFGenerator(
            _load_model(self.model_config, self.config.dtype),
            self.model_config.tokenizer,
            self.model_config.processor or image_processor_of(self.model_config),
            max_model_len=self.max_model_len,
        )
        self._batcher = Batcher(
            self._generator,
            BatcherConfig(
                max_seqs=self.config.max_num_seqs, max_padded_tokens=self.config.max_num_batched_tokens, **options
            ),
        )
        self._synced: set[str] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._reject = False

    def _context(self) -> int:
        limit = get_max_position_embeddings(self.model_config.hf_config)
        if self.config.max_model_len is None:
            return limit
        if self.config.max_model_len > limit:
            raise ValueError(
                f"rollout.max_model_len ({self.config.max_model_len}) exceeds the model's "
                f"max_position_embeddings ({limit})"
            )
        return self.config.max_model_len

    async def ready(self) -> int:
        """The process id, once the model has been loaded."""
        return os.getpid()

    def get_rollout_config(self) -> RolloutConfig:
        return self.config

    # Requests

    async def generate(
        self,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        request_id: str,
        image_data: list[Any] | None = None,
        video_data: list[Any] | None = None,
        audio_data: list[Any] | None = None,
        mm_processor_kwargs: dict[str, Any] | None = None,
        priority: int = 0,
    ) -> TokenOutput:
        """Generate a response; `token_ids` includes the stop token. Or, with `prompt_logprobs`, score the prompt:
        `extra_fields` then hold `prompt_ids` and `prompt_logprobs` (see `PromptScores`), and no token is drawn.

        The budget is min(max_tokens, max_model_len - len(prompt)), as in verl's vLLM server. Without `max_tokens`
        it is min(response_length, prompt_length + response_length - len(prompt)), also as there.

        Raises:
            ValueError: what the request carries can't be served; the message says what.
            RuntimeError: generation failed or has ended; the cause is in the message.
            TimeoutError: generation was paused and not resumed in time.
        """
        if audio_data is not None:
            raise ValueError("the hf rollout takes no audio_data")
        prompt_ids = normalize_token_ids(prompt_ids)
        params = SamplingParams.parse(sampling_params, defaults=self._defaults(len(prompt_ids)))
        make = lambda: self._generator.request(prompt_ids, params, image_data, video_data, mm_processor_kwargs)  # noqa: E731
        # Image processing takes milliseconds; the event loop also carries everyone else's requests.
        request = await asyncio.to_thread(make) if image_data or video_data else make()
        if not await self._admitted():
            return self._output([], None, aborted=True)
        response = await asyncio.wrap_future(self._batcher.submit(request))
        output = self._output(response.token_ids, response.log_probs, response.aborted)
        if response.prompt_scores is not None:
            token_ids, log_probs = response.prompt_scores
            output.extra_fields.update(prompt_ids=token_ids, prompt_logprobs=log_probs)
        return output

    def _defaults(self, prompt_length: int) -> SamplingParams:
        config = self.config
        return SamplingParams(
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=max(0, config.top_k),
            max_tokens=min(config.response_length, config.prompt_length + config.response_length - prompt_length),
            ignore_eos=config.ignore_eos,
        )

    def _output(self, token_ids: list[int], log_probs: list[float] | None, aborted: bool) -> TokenOutput:
        return TokenOutput(
            token_ids=token_ids,
            log_probs=log_probs,
            stop_reason="aborted" if aborted else "completed",
            extra_fields={"global_steps": self.global_steps},
        )

    async def _admitted(self) -> bool:
        """Wait while generation is paused; False if it is paused and late arrivals are rejected."""
        while not self._open.is_set():
            if self._reject:
                return False
            try:
                await asyncio.wait_for(self._open.wait(), self._park_timeout_s)
            except TimeoutError:
                raise TimeoutError(
                    f"generation was paused by abort_all_requests and not resumed within {self._park_timeout_s} s"
                ) from None
        return True

    # Weights

    async def load_weights(self, weights: list[tuple[str, torch.Tensor]]) -> None:
        """Take a part of a weight sync; no batch runs meanwhile."""
        names = await asyncio.wrap_future(self._batcher.run(lambda: load_weights(self._generator.model, weights)))
        self._synced |= names

    async def finish_weights(self, global_steps: int | None) -> None:
        """End a weight sync: every weight must have come. Responses carry `global_steps` from now on."""
        names, self._synced = self._synced, set()
        await asyncio.wrap_future(self._batcher.run(lambda: check_complete(self._generator.model, names)))
        if global_steps is not None:
            self.global_steps = global_steps

    async def set_global_steps(self, global_steps: int) -> None:
        self.global_steps = global_steps

    # Control, as verl's RolloutReplica calls it. Weights and caches live in main memory, the key-value cache ends
    # with its batch: there is nothing to release, and requests are served in every state but "paused".

    async def sleep(self, *args: Any, **kwargs: Any) -> None:
        return None

    wake_up = clear_kv_cache = release_kv_cache = resume_kv_cache = start_profile = stop_profile = sleep

    async def abort_all_requests(self, reject_request: bool = False) -> dict[str, Any]:
        """Pause: end all requests (those that run keep their tokens), hold or reject later ones until resumed."""
        self._reject = reject_request
        self._open.clear()
        return {"aborted_count": self._batcher.abort(), "request_ids": []}

    async def resume_generation(self) -> None:
        self._reject = False
        self._open.set()


def _with_sdpa(model_config):
    """verl's default attention is flash attention, and a teacher's configuration consists of a path only."""
    from omegaconf import DictConfig, OmegaConf, open_dict

    if not isinstance(model_config, DictConfig):
        return model_config
    model_config = OmegaConf.create(OmegaConf.to_container(model_config, resolve=True))
    with open_dict(model_config):
        if model_config.get("override_config") is None:
            model_config.override_config = {}
        model_config.override_config.setdefault("attn_implementation", "sdpa")
    return model_config


def image_processor_of(model_config: HFModelConfig):
    """Stands in for a vision model's processor where it can't be built; None for a text model.

    Without torchvision transformers has no video processor and refuses to build the whole (verl then warns and goes
    on with None). The image half has a version for PIL, and is all that a server needs for images.
    """
    config = model_config.hf_config
    if getattr(config, "image_token_id", None) is None:
        return None
    import transformers
    from transformers.image_processing_base import ImageProcessingMixin

    settings, _ = ImageProcessingMixin.get_image_processor_dict(model_config.local_path)
    name = settings.get("image_processor_type", "").removesuffix("Fast") + "Pil"
    return SimpleNamespace(
        image_processor=getattr(transformers, name).from_pretrained(model_config.local_path),
        image_token_id=config.image_token_id,
        video_token_id=getattr(config, "video_token_id", None),
    )


def _load_model(model_config: HFModelConfig, dtype: str):
    from verl.utils.model import get_hf_auto_model_class
    from verl.utils.torch_dtypes import PrecisionType

    return get_hf_auto_model_class(model_config.hf_config).from_pretrained(
        model_config.local_path,
        config=model_config.hf_config,
        dtype=PrecisionType.to_dtype(dtype),
        trust_remote_code=model_config.trust_remote_code,
    )
