#!/usr/bin/env bash
# Cutting a batch into dynamic micro-batches takes verl more than quadratic time, where first fit takes milliseconds.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: with use_dynamic_bsz each pass over a batch first sorts its sequences into micro-batches of at most
#   ppo_max_token_len_per_gpu tokens. One would expect milliseconds, as bin packing by sorted length takes. verl runs
#   the largest differencing method in Python, in which every sequence brings a list of as many sums as there are
#   micro-batches, and both numbers grow with the batch; then it adds one micro-batch and runs it again, until all of
#   them are within the limit. Four times the sequences take 20 to 60 times the time (512 of them 7 s on a busy core,
#   first fit by falling length 2 ms for as many micro-batches). It is the log-probs' pass that shows it, as it takes
#   all sequences of a rank at once, and a single GPU has all of them. First fit does not balance the micro-batches'
#   work; that matters only where ranks wait for each other.
# Seen (4,000 to 12,000 tokens, limit 16,384):
#   128 sequences: 70 micro-batches after 5 trials; first fit 70
#   512 sequences: 264 micro-batches after 11 trials; first fit 264
#   four times the sequences take more than 10 times the CPU time: True
#   512 sequences take more than 100 times the CPU time of first fit: True
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import random
import time

import torch
from tensordict import TensorDict
from verl.utils import seqlen_balancing

LIMIT, TRIALS = 16384, []
balance = seqlen_balancing.get_seqlen_balanced_partitions


def counted(*arguments, **options):
    TRIALS.append(arguments)
    return balance(*arguments, **options)


seqlen_balancing.get_seqlen_balanced_partitions = counted


def first_fit(lengths):
    used = []
    for length in sorted(lengths, reverse=True):
        place = next((i for i, tokens in enumerate(used) if tokens + length <= LIMIT), None)
        if place is None:
            used.append(length)
        else:
            used[place] += length
    return len(used)


def cut(count):
    """The micro-batches, verl's trials and those of first fit; verl's CPU seconds and those of first fit."""
    rng = random.Random(0)
    lengths = [rng.randint(4000, 12000) for _ in range(count)]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    ids = torch.nested.nested_tensor_from_jagged(torch.zeros(sum(lengths), dtype=torch.int64), offsets=offsets)
    data = TensorDict({"input_ids": ids}, batch_size=count)
    TRIALS.clear()
    began = time.process_time()
    parts = len(seqlen_balancing.rearrange_micro_batches(data, max_token_len=LIMIT)[1])
    between = time.process_time()
    fitted = first_fit(lengths)
    return (parts, len(TRIALS), fitted), between - began, time.process_time() - between


# The first one warms up; of the short ones the quickest counts.
short, long = min((cut(128) for _ in range(3)), key=lambda each: each[1]), cut(512)
for count, ((parts, trials, fitted), seconds, fitting) in ((128, short), (512, long)):
    print(f"SEEN {count} sequences: {parts} micro-batches after {trials} trials; first fit {fitted}")
    print(f"{seconds:.2f} s, first fit {1000 * fitting:.1f} ms")
    assert fitted <= parts and trials > 1
growth, against = long[1] / short[1], long[1] / long[2]
print(f"{growth:.1f} times, {against:.0f} times")
print("SEEN four times the sequences take more than 10 times the CPU time:", growth > 10)
print("SEEN 512 sequences take more than 100 times the CPU time of first fit:", against > 100)
assert growth > 10 and against > 100, (growth, against)
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
