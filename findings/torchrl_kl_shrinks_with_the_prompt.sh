#!/usr/bin/env bash
# torchrl's KL penalty is a mean over the prompt too, where it is zero: behind a long prompt little of it is left.
#
# Versions: torchrl 0.14.1, tensordict 0.14.3, torch 2.13.0, numpy 2.4.6 (CPU).
# Behaviour: GRPOLoss takes whole sequences by default, and masks what is not response: the objective is a mean over the
#   response's tokens. One would expect the same of the penalty that kl_to_ref_coeff adds. There masked positions get a
#   log-ratio of zero, and then the mean is over all positions, prompt and padding too. So the weight of the penalty
#   beside the objective is kl_to_ref_coeff times the share of response tokens in the batch's rectangle. Behind a prompt
#   of 900 tokens a response of 100 has a tenth of the penalty that is asked for, and one long row weakens it for all
#   others. The logged kl_to_ref is as much too small, so that the policy seems to stay near the reference. It is the
#   same with kl_to_inference_coeff, and with the losses for DAPO and CISPO.
# Seen (a response of 100 tokens, its KL estimate 0.193 at each; kl_to_ref_coeff=1):
#   prompt of 0 tokens: kl_to_ref 0.193, gradient of the penalty in the objective's 0.500
#   prompt of 100 tokens: kl_to_ref 0.097, gradient of the penalty in the objective's 0.250
#   prompt of 900 tokens: kl_to_ref 0.019, gradient of the penalty in the objective's 0.050
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torchrl==0.14.1 tensordict==0.14.3 \
  torch==2.13.0 numpy==2.4.6
cat > "$work/run.py" <<'PY'
import torch
from tensordict import TensorDict
from torchrl.modules import LLMMaskedCategorical
from torchrl.objectives.llm import GRPOLoss

RESPONSE = 100


class Actor(torch.nn.Module):
    """A vocabulary of two tokens, both of probability 1/2, at each of the positions."""

    in_keys = []

    def __init__(self, positions):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(1, positions, 2))

    def get_dist(self, data, **kwargs):
        return LLMMaskedCategorical(logits=self.logits, mask=data["mask"])

    _get_sft_dist = get_dist


def penalty(prompt):
    """The KL that is logged, and the size of its gradient in that of the objective, for a prompt of so many tokens."""
    positions = prompt + RESPONSE
    actor = Actor(positions)
    data = TensorDict(
        {
            "mask": (torch.arange(positions) >= prompt).unsqueeze(0),
            ("tokens", "full"): torch.zeros(1, positions, dtype=torch.long),
            ("log_probs", "full"): torch.full((1, positions), 0.5).log(),
            ("next", "ref_log_probs", "full"): torch.full((1, positions), 0.25).log(),
            "advantage": torch.ones(1, positions, 1),
        },
        [1],
    )
    out = GRPOLoss(actor, entropy_bonus=False, kl_to_ref_coeff=1.0)(data)
    objective, kl = (
        torch.autograd.grad(each.sum(), actor.logits, retain_graph=True)[0].norm().item()
        for each in (out.loss_objective, out.loss_kl_to_ref)
    )
    return out.kl_to_ref.item(), kl / objective


for prompt in (0, 100, 900):
    kl, share = penalty(prompt)
    print(f"SEEN prompt of {prompt} tokens: kl_to_ref {kl:.3f}, gradient of the penalty in the objective's {share:.3f}")
    of_all = RESPONSE / (prompt + RESPONSE)
    assert abs(kl - 0.1931 * of_all) < 1e-3 and abs(share - 0.5 * of_all) < 1e-3, (kl, share)
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
