#!/usr/bin/env bash
# torchrl's CISPO gives no gradient to a token outside the clip range: the tokens that CISPO is there to keep.
#
# Versions: torchrl 0.14.1, tensordict 0.14.3, torch 2.13.0, numpy 2.4.6 (CPU).
# Behaviour: PPO and GRPO drop a token whose ratio has left the clip range the way its advantage pulls. CISPO, of the
#   paper that torchrl names, clips the ratio as a constant weight of the log-prob's gradient, so that every token
#   learns, with at most that weight. CISPOLoss takes the clipped ratio times the advantage and differentiates the
#   ratio. Where it is clipped it is constant: the gradient is zero, on both sides and for either sign of the advantage.
#   One would expect more tokens in an update than GRPOLoss has. There are fewer, as GRPOLoss still brings back a token
#   that has strayed against its advantage. The loss is logged as if those tokens took part.
# Seen (gradient of the objective by a token's log-prob, clip_epsilon=0.2, for ratios of 0.5, 1, 2 and 8):
#   advantage 1: GRPOLoss [0.5, 1.0, 0.0, 0.0], CISPOLoss [0.0, 1.0, 0.0, 0.0], CISPO [0.8, 1.0, 1.2, 1.2]
#   advantage -1: GRPOLoss [0.0, -1.0, -2.0, -8.0], CISPOLoss [0.0, -1.0, 0.0, 0.0], CISPO [-0.8, -1.0, -1.2, -1.2]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torchrl==0.14.1 tensordict==0.14.3 \
  torch==2.13.0 numpy==2.4.6
cat > "$work/run.py" <<'PY'
import torch
from tensordict import TensorDict
from torchrl.modules import LLMMaskedCategorical
from torchrl.objectives.llm import CISPOLoss, GRPOLoss

RATIOS = torch.tensor([0.5, 1.0, 2.0, 8.0])
COUNT = len(RATIOS)


class Actor(torch.nn.Module):
    """A vocabulary of two tokens, both of probability 1/2, at each of the positions."""

    in_keys = []

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(1, COUNT, 2))

    def get_dist(self, data, **kwargs):
        return LLMMaskedCategorical(logits=self.logits, mask=data["mask"])

    _get_sft_dist = get_dist


def gradients(loss, advantage):
    """What the objective gains per unit of each token's log-prob: shape (COUNT,)."""
    actor = Actor()
    data = TensorDict(
        {
            "mask": torch.ones(1, COUNT, dtype=torch.bool),
            ("tokens", "full"): torch.zeros(1, COUNT, dtype=torch.long),
            ("log_probs", "full"): (0.5 / RATIOS).log().unsqueeze(0),
            "advantage": torch.full((1, COUNT, 1), advantage),
        },
        [1],
    )
    loss(actor, clip_epsilon=0.2, entropy_bonus=False)(data).loss_objective.sum().backward()
    # A log-prob grows by 1/2 per unit of its token's logit; the loss is a mean over the positions.
    return -2 * COUNT * actor.logits.grad[0, :, 0]


def text(values):
    return str([round(value, 2) + 0.0 for value in values.tolist()])


for advantage in (1.0, -1.0):
    grpo, cispo = gradients(GRPOLoss, advantage), gradients(CISPOLoss, advantage)
    paper = advantage * RATIOS.clamp(0.8, 1.2)
    print(f"SEEN advantage {advantage:.0f}: GRPOLoss {text(grpo)}, CISPOLoss {text(cispo)}, CISPO {text(paper)}")
    kept = RATIOS <= 1.2 if advantage > 0 else RATIOS >= 0.8
    torch.testing.assert_close(grpo, torch.where(kept, advantage * RATIOS, 0.0))
    torch.testing.assert_close(cispo, torch.where(RATIOS == 1, advantage, 0.0))
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
