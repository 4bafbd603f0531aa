"""For all tests."""

import asyncio
import importlib
import inspect
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from verl.plugin.platform import get_platform

from benchmarks.virtual_time import run_in_virtual_time
from recipe.cpu import use_cpu
from recipe.zppo import answer_format
from recipe.zppo.reward import use_grader

# tests/without_extras says why: for child processes, and here until transformers has looked.
WITHOUT_EXTRAS = str(Path(__file__).parent / "without_extras")
if WITHOUT_EXTRAS not in (search_path := os.environ.get("PYTHONPATH", "").split(os.pathsep)):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [WITHOUT_EXTRAS, *search_path]))
sys.modules["sklearn"] = None
importlib.import_module("transformers.generation.candidate_generator")
del sys.modules["sklearn"]

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

# Folders whose files take longest, after those that train on the whole stack.
LONG = ("local", "on_verl", "study", "config")

# A shared machine may be slow.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: with several processes the short ones fill up what is left (`make test`)."""
    trains = {item.path for item in items if item.get_closest_marker("e2e")}
    items.sort(key=lambda item: (item.path not in trains, item.path.parent.name not in LONG))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine runs in an event loop of its own, whose time is real unless it is marked."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    run = run_in_virtual_time if pyfuncitem.get_closest_marker("virtual_time") else asyncio.run
    run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def _rewards_of_the_paper():
    """Trainers and checks set how their process reads and grades answers. It holds for the next test in it, too."""
    yield
    answer_format.use(answer_format.PAPER)
    use_grader("paper")


@pytest.fixture
def ctrl_c():
    """It interrupts, also where pytest runs in the background, whose processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run(tmp_path: Path):
    """A configuration that passes every check, to be spoilt."""
    from tests.runnable import Run

    return Run(tmp_path)


@pytest.fixture
def closed_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that nobody answers for, as on a machine without network, wherever the tests run."""
    import huggingface_hub.constants

    from recipe.zppo.preflight import hub

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    hub._asked.cache_clear()


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=NO_GPU)])
def device(request: pytest.FixtureRequest) -> str:
    """Where a local run computes: a test that asks for it runs on the CPU, and on a GPU where there is one."""
    return request.param


@pytest.fixture
def reasoning_gym():
    """Optional: one of its requirements is built from C source."""
    return pytest.importorskip("reasoning_gym", reason="reasoning-gym (extra `recipes`) is not installed")


@pytest.fixture(scope="session")
def world():
    """The embedded world in the user's cache; where there is none, its like, measured on few questions to save time."""
    from recipe.zppo.world.build import build_world, is_finished
    from recipe.zppo.world.paths import WorldPaths, default_path
    from recipe.zppo.world.settings import WorldSettings

    settings = WorldSettings()
    users = WorldPaths(default_path(settings.seed, settings.difficulty))
    if is_finished(users, settings):
        return users
    path = users.root.with_name(f"{users.root.name}-for-tests")
    return build_world(path, settings=replace(settings, measured_questions=8))


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
