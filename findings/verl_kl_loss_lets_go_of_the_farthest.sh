#!/usr/bin/env bash
# verl's KL loss lets go of a policy that is far from the reference: its default estimator is cut off at 10 a token.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: with actor.use_kl_loss=true the estimator is actor.kl_loss_type=low_var_kl, "k3" in the configuration:
#   r - log r - 1, r being the reference's probability of a token over the policy's. Its gradient is 1 - r, so that a
#   token pulls the harder the more the policy has lost of it. One would expect no more than a bound against overflow,
#   and there is one, |log r| < 20. But the value itself is cut off at 10 as well, and where it is cut, nothing is left
#   of the gradient: from r = 13.7 on, and below 0.000017. A pull that should grow with the distance breaks down to a
#   twentieth at some distance, and to zero where the policy's own favourite is one that the reference rules out: such
#   a policy never comes back. The metric kl_loss is cut off too. kl_loss_type=k3+ has no such edge, as its gradient is
#   that of another estimator.
# Seen (two tokens; the policy gives the reference's favourite the share p; mean gradient over the policy's own samples,
#   and updates at a rate of 0.1 until p is 0.5):
#   favourite of 0.9, p 0.2: pull 0.700 of 0.700, updates 13 of 13
#   favourite of 0.9, p 0.1: pull 0.800 of 0.800, updates 18 of 18
#   favourite of 0.9, p 0.05: pull 0.043 of 0.850, updates 52 of 23
#   favourite of 0.9, p 0.01: pull 0.009 of 0.890, updates 517 of 32
#   favourite of 0.999995, p 0.05: pull 0.000 of 0.950, updates never of 20
#   favourite of 0.999995, p 0.01: pull 0.000 of 0.990, updates never of 28
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import torch
from verl.trainer.ppo.core_algos import kl_penalty
from verl.workers.config import FSDPActorConfig

KIND = FSDPActorConfig.kl_loss_type  # the default
assert KIND == "low_var_kl"


def k3(logprob, ref_logprob):
    return (ref_logprob - logprob).exp() - (ref_logprob - logprob) - 1


def verl(logprob, ref_logprob):
    return kl_penalty(logprob=logprob, ref_logprob=ref_logprob, kl_penalty=KIND)


def both(share):
    return torch.tensor([share, 1 - share], dtype=torch.float64).log()


def pull(estimate, logits, reference):
    """How the loss moves the favourite's logit, and the other's: the mean over the policy's own samples."""
    logits = logits.clone().requires_grad_()
    logprobs = logits.log_softmax(0)
    (logprobs.exp().detach() * estimate(logprobs, reference)).sum().backward()
    return -logits.grad


def updates(estimate, logits, reference):
    for count in range(1, 10001):
        logits = logits + 0.1 * pull(estimate, logits, reference)
        if logits.softmax(0)[0] >= 0.5:
            return count
    return "never"


for favourite, share, expected in (
    (0.9, 0.2, (0.7, 13, 13)),
    (0.9, 0.1, (0.8, 18, 18)),
    (0.9, 0.05, (0.0425, 52, 23)),
    (0.9, 0.01, (0.0089, 517, 32)),
    (0.999995, 0.05, (0.0, "never", 20)),
    (0.999995, 0.01, (0.0, "never", 28)),
):
    case = both(share), both(favourite)
    (found, exact), (took, enough) = ([of(each, *case) for each in (verl, k3)] for of in (pull, updates))
    found, exact = found[0].item() + 0.0, exact[0].item()
    print(
        f"SEEN favourite of {favourite}, p {share}: pull {found:.3f} of {exact:.3f}, updates {took} of {enough}"
    )
    assert abs(found - expected[0]) < 1e-6 and abs(exact - (favourite - share)) < 1e-6, (found, exact)
    assert (took, enough) == expected[1:], (took, enough)
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
