#!/usr/bin/env bash
# liger-kernel's GRPO loss trains on the padding with loss_type="luspo", and the longest response sets the others' step.
#
# Versions: liger-kernel 0.8.5, torch 2.13.0, numpy 2.4.6 (CPU, without compilation and without triton).
# Behaviour: LigerFusedLinearGRPOLoss has eight kinds of loss. All of them but one multiply the tokens' losses by
#   attention_mask. LUSPO multiplies them by the number of the response's tokens, and takes the mean over the whole
#   rectangle. One would expect nothing from behind a response's end. With importance_sampling_level="token", the
#   default, each place of padding weighs as much as a token: next to a long response, most of a short one's gradient is
#   the padding's, which makes it more likely for a good response and less for a bad one. Also, the mean's denominator
#   has the padding, so that a token's weight falls as the longest response of the batch grows.
#   LUSPO is meant for importance_sampling_level="sequence". There the policy's part has one number a response, and is
#   right. But beta is 0.04 by default, and the KL penalty is a number a token: it holds on to the padding as well.
#   The formula is one that trl had, by a comment in the code; trl 1.16 masks.
# Seen (weight of a token of a response with 2 tokens, and of a place of its padding; the longest has 8 or 80):
#   the seven other kinds, padding: [0.0]
#   luspo, longest 8: token 0.125, padding 0.125
#   luspo, longest 80: token 0.0125, padding 0.0125
#   luspo by sequence, longest 8: token 0.5, padding 0.0
#   its KL penalty with beta=0.04, longest 8: token -0.0032, padding -0.0032
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" torch==2.13.0 numpy==2.4.6
"${pip[@]}" --no-deps liger-kernel==0.8.5
cat > "$work/run.py" <<'PY'
import torch
from liger_kernel.chunked_loss import LigerFusedLinearGRPOLoss

VOCABULARY = 4
SHORT = 2


def weights(longest, kind="luspo", level="token", advantage=1.0, beta=0.0):
    """What the objective gains per unit of log-prob: at the last token of the short response, and behind it."""
    hidden = torch.zeros(2, longest, VOCABULARY, requires_grad=True)  # all tokens have a probability of 1/4
    reference = torch.full((2, longest), 1 / VOCABULARY).log() - 1
    loss = LigerFusedLinearGRPOLoss(
        beta=beta, loss_type=kind, importance_sampling_level=level, max_completion_length=longest, compiled=False
    )
    mask = (torch.arange(longest) < torch.tensor([[SHORT], [longest]])).long()
    tokens = torch.zeros(2, longest, dtype=torch.long)
    advantages = torch.full((2,), advantage)
    value, _ = loss(hidden, torch.eye(VOCABULARY), tokens, mask, advantages, ref_per_token_logps=reference)
    value.backward()
    # A log-prob grows by 3/4 per unit of its token's logit.
    gains = -hidden.grad[0, :, 0] * VOCABULARY / (VOCABULARY - 1)
    return [round(gain, 4) + 0.0 for gain in gains[[SHORT - 1, SHORT]].tolist()]


others = [weights(8, kind) for kind in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo")]
print("SEEN the seven other kinds, padding:", sorted({padding for _, padding in others}))
assert all(token > 0 and padding == 0 for token, padding in others)
for longest, expected in (8, 0.125), (80, 0.0125):
    token, padding = weights(longest)
    print(f"SEEN luspo, longest {longest}: token {token}, padding {padding}")
    assert token == padding == expected
token, padding = weights(8, level="sequence")
print(f"SEEN luspo by sequence, longest 8: token {token}, padding {padding}")
assert (token, padding) == (0.5, 0)
token, padding = weights(8, level="sequence", advantage=0.0, beta=0.04)
print(f"SEEN its KL penalty with beta=0.04, longest 8: token {token}, padding {padding}")
assert token == padding < 0
PY
cd "$work"
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
