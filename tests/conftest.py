"""For all tests."""

import asyncio
import inspect
import os
from pathlib import Path

import pytest
from hypothesis import settings
from verl.plugin.platform import get_platform

from recipe.cpu import use_cpu

# verl decides once a process, at whichever import comes first. Child processes get no word of it: they have tests too.
chosen = os.environ.get("VERL_PLATFORM")
use_cpu()
get_platform()
if chosen is None:
    del os.environ["VERL_PLATFORM"]

# Ray's workers are nice by default: beside other tests on few cores (`make test`) they would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A cluster of its own for each run: Ray would join one that another test has started on this machine.
os.environ.setdefault("RAY_ADDRESS", "local")

# A shared machine may be slow.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that train come first: with several processes the short ones fill up what is left (`make test`)."""
    trains = {item.path for item in items if item.get_closest_marker("e2e")}
    items.sort(key=lambda item: item.path not in trains)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine runs in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def run(tmp_path: Path):
    """A configuration that passes every check, to be spoilt."""
    from tests.runnable import Run

    return Run(tmp_path)


@pytest.fixture
def reasoning_gym():
    """Optional: one of its requirements is built from C source."""
    return pytest.importorskip("reasoning_gym", reason="reasoning-gym (extra `recipes`) is not installed")


@pytest.fixture(scope="session")
def world():
    """The embedded world in the user's cache, built on first use."""
    from recipe.zppo.world.build import build_world

    return build_world()


@pytest.fixture(scope="session")
def tokenizer():
    from tests.tiny_models import make_tokenizer

    return make_tokenizer()


@pytest.fixture(scope="session")
def qwen3_path(tmp_path_factory, tokenizer) -> Path:
    from tests.tiny_models import make_qwen3

    path = tmp_path_factory.mktemp("qwen3")
    make_qwen3(len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def qwen2_vl_path(tmp_path_factory, tokenizer) -> Path:
    """A Qwen2-VL without weights: its configuration, tokenizer and processor."""
    import json

    from transformers import Qwen2VLConfig

    path = tmp_path_factory.mktemp("qwen2_vl")
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    ids = {key: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}
    Qwen2VLConfig(vision_config=dict(patch_size=14), **ids).save_pretrained(path)
    tokenizer.save_pretrained(path)
    image_processor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "size": {"shortest_edge": 28 * 28, "longest_edge": 112 * 112},
    }
    (path / "preprocessor_config.json").write_text(json.dumps(image_processor))
    return path
