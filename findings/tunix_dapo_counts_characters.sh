#!/usr/bin/env bash
# tunix's DAPO takes characters for tokens in the penalty for overlong responses, and the penalty has no floor.
#
# Versions: google-tunix 0.1.7, absl-py 2.5.1, numpy 2.4.6 (CPU). What else is imported and not used has a stand-in, jax
#   among it.
# Behaviour: DAPO takes up to 1 from a response's reward within the last tokens before the limit, overlong_buffer_length
#   of max_response_length ("hard maximum generation length"). DAPOLearner adds that as a reward function, with 4,096 of
#   20,480 by default. Reward functions are given texts, and it measures them by len(). A token is some four characters:
#   the penalty begins at a fifth of the length where it should. As its text goes on behind the limit, the line goes on
#   too, where the paper's stays at -1. A right response in the middle of the allowed lengths then has less than a wrong
#   one of a few words, so that what is trained is to be short.
#   The paper's other part, to draw again where a group's rewards are all alike, is dynamic_sampling, which is True by
#   default. The name stands where it is declared and documented, and nowhere else.
# Seen (defaults; a word of four letters and its space is a token in the paper's column; rewards of a right response):
#   3000 words: 1.00, by the paper 1.00
#   5000 words: -1.10, by the paper 1.00
#   16000 words: -14.53, by the paper 1.00
#   20480 words: -20.00, by the paper 0.00
#   a wrong response of 10 words: 0.00
#   dynamic_sampling in the package, in dapo_learner.py: 2 lines, elsewhere: 0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" absl-py==2.5.1 numpy==2.4.6
"${pip[@]}" --no-deps google-tunix==0.1.7
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

UNUSED = "flax jax tunix.generate tunix.perf tunix.rl.queue tunix.rl.rl_cluster tunix.rl.utils tunix.sft".split()


class StandIn(MetaPathFinder, Loader):
    """Finds a module without content for what is imported and not used."""

    def find_spec(self, name, path=None, target=None):
        unused = any(name == each or name.startswith(each + ".") for each in UNUSED)
        return ModuleSpec(name, self, is_package=True) if unused else None

    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, StandIn())
# The package without its __init__.py, which imports all of it.
(folder,) = find_spec("tunix").submodule_search_locations
package = ModuleType("tunix")
package.__path__ = [folder]
sys.modules["tunix"] = package
from tunix.rl.grpo.dapo_learner import DAPOConfig, reward_shaping
from tunix.rl.reward_manager import SequenceRewardManager

WORD = "step "
BUFFER, LIMIT = 4096, 20480


def correctness(prompts, completions, **columns):
    return [float(each.startswith(WORD)) for each in completions]


manager = SequenceRewardManager([correctness, reward_shaping], DAPOConfig())


def reward(completion):
    return manager(prompts=["?"], completions=[completion], mode="train")["rewards"][0]


for words, seen in ((3000, 1.0), (5000, -1.1035), (16000, -14.53), (20480, -20.0)):
    found, paper = reward(WORD * words), 1 - min(max(words - (LIMIT - BUFFER), 0) / BUFFER, 1)
    print(f"SEEN {words} words: {found:.2f}, by the paper {paper:.2f}")
    assert abs(found - seen) < 0.01, found
wrong = reward("no idea " * 5)
print(f"SEEN a wrong response of 10 words: {wrong:.2f}")
assert wrong == 0
here, elsewhere = 0, 0
for file in Path(folder).rglob("*.py"):
    count = file.read_text().count("dynamic_sampling")
    here, elsewhere = (here + count, elsewhere) if file.name == "dapo_learner.py" else (here, elsewhere + count)
print(f"SEEN dynamic_sampling in the package, in dapo_learner.py: {here} lines, elsewhere: {elsewhere}")
assert DAPOConfig().dynamic_sampling and (here, elsewhere) == (2, 0), (here, elsewhere)
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
