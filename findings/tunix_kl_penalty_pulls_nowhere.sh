#!/usr/bin/env bash
# tunix's GRPO has the same gradient whatever the reference model is: its KL penalty, on by default, pulls nowhere.
#
# Versions: google-tunix 0.1.7, jax 0.9.2, absl-py 2.5.1, numpy 2.4.6 (CPU). What else is imported and not used has a
#   stand-in; log-probs come from a table of logits in place of a model.
# Behaviour: GRPOConfig has beta=0.04, the "coefficient for the KL divergence penalty", which is to keep the policy near
#   the reference. kl_loss_mode says how the KL is estimated, and is "kl" by default: the log-ratio, called unbiased.
#   That holds for the value. In a loss its gradient is that of the log-probs on the policy's own samples, in which the
#   reference does not occur: zero on average, noise else. One would expect the estimator of the GRPO paper, which is
#   "low_var_kl" here and pulls. The metric kl is right either way, and grows as if beta were 0. The agentic
#   GRPOConfig has the same default.
# Seen (a policy of 5 tokens, uniform; the reference has 0.9 on one of them; advantages 0, beta=0.04, 300 updates):
#   kl, the default: difference of the gradients for two opposite references 0.000, KL 1.36 before, 1.36 after
#   low_var_kl: difference of the gradients for two opposite references 0.034, KL 1.36 before, 0.00 after
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" jax==0.9.2 jaxlib==0.9.2 absl-py==2.5.1 numpy==2.4.6
"${pip[@]}" --no-deps google-tunix==0.1.7
cat > "$work/run.py" <<'PY'
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import jax
import jax.numpy as jnp

UNUSED = "flax tunix.generate tunix.perf tunix.rl.queue tunix.rl.rl_cluster tunix.rl.utils tunix.sft".split()


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
package = ModuleType("tunix")
package.__path__ = list(find_spec("tunix").submodule_search_locations)
sys.modules["tunix"] = package
from tunix.rl import algo_core, common
from tunix.rl.grpo.grpo_learner import GRPOConfig

TOKENS, BATCH = 5, 1024
reference = jnp.full(TOKENS, 0.1 / (TOKENS - 1)).at[0].set(0.9)
reference = jnp.log(reference)


def forward(graph, logits, *, completion_tokens, **options):
    """In place of a model's forward pass: the same logits at each position."""
    log_probs = jax.nn.log_softmax(logits)
    return log_probs[completion_tokens], jnp.broadcast_to(logits, (*completion_tokens.shape, TOKENS))


algo_core.nnx.split = lambda logits: (None, logits)
common.compute_per_token_logps = forward


def gradient_of(config):
    def loss(logits, tokens, reference):
        batch = SimpleNamespace(
            prompt_ids=tokens, completion_ids=tokens, completion_mask=jnp.ones_like(tokens),
            advantages=jnp.zeros(BATCH), old_per_token_logps=None, ref_per_token_logps=reference[tokens],
        )  # fmt: skip
        return algo_core.grpo_loss_fn(logits, batch, config, pad_id=-1, eos_id=-1)[0]

    return jax.jit(jax.grad(loss))


def divergence(logits):
    log_probs = jax.nn.log_softmax(logits)
    return float(jnp.sum(jnp.exp(log_probs) * (log_probs - reference)))


def seen(config):
    """The difference of the gradients for two references, and the KL after 300 updates."""
    config.temperature = 1.0  # as the learner sets it
    gradient = gradient_of(config)
    tokens = jax.random.randint(jax.random.key(0), (BATCH, 1), 0, TOKENS)
    start = jnp.zeros(TOKENS)
    difference = jnp.abs(gradient(start, tokens, reference) - gradient(start, tokens, reference[::-1])).max()
    logits = start
    for key in jax.random.split(jax.random.key(1), 300):
        tokens = jax.random.categorical(key, logits, shape=(BATCH, 1))
        logits -= 0.1 / config.beta * gradient(logits, tokens, reference)
    return float(difference), divergence(start), divergence(logits)


for name, config in (("kl, the default", GRPOConfig()), ("low_var_kl", GRPOConfig(kl_loss_mode="low_var_kl"))):
    difference, before, after = seen(config)
    print(
        f"SEEN {name}: difference of the gradients for two opposite references {difference:.3f}, "
        f"KL {before:.2f} before, {after:.2f} after"
    )
    if config.kl_loss_mode == "kl":
        assert difference == 0 and abs(after - before) < 0.2, (difference, before, after)
    else:
        assert difference > 0.01 and after < 0.05, (difference, before, after)
PY
cd "$work"
JAX_PLATFORMS=cpu "$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
