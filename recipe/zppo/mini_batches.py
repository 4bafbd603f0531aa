"""Which rollouts make up each of the I gradient updates of a step (Algorithm 1, step 6).

The paper says "I equal mini-batches". Ours are drawn at random: in the order of the batch one would be all plain, and
another all NCQ.
"""

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal, TypeAlias

import numpy as np

Unit: TypeAlias = Literal["rollouts", "groups"]


def mini_batches(uids: Sequence[Hashable], count: int, unit: Unit, rng: random.Random) -> list[list[int]]:
    """``count`` mini-batches, as indices of rollouts; some are empty where there are fewer rollouts.

    Args:
        uids: (N,) group of each rollout.
        unit: what is dealt out. Of single rollouts the mini-batches differ in number by one at most. Groups stay whole;
            each goes to the mini-batch with the fewest rollouts so far. Fewer groups than mini-batches are dealt out
            as rollouts.
    """
    if unit == "rollouts" or len(set(uids)) < count:
        order = list(range(len(uids)))
        rng.shuffle(order)
        return [part.tolist() for part in np.array_split(np.array(order, dtype=int), count)]
    groups: dict[Hashable, list[int]] = {}
    for index, uid in enumerate(uids):
        groups.setdefault(uid, []).append(index)
    dealt = list(groups.values())
    rng.shuffle(dealt)
    parts: list[list[int]] = [[] for _ in range(count)]
    for group in dealt:
        min(parts, key=len).extend(group)
    return parts


def part_numbers(parts: Sequence[Sequence[int]]) -> np.ndarray:
    """(N,) number of the mini-batch that each of the N rollouts is in."""
    numbers = np.empty(sum(map(len, parts)), dtype=int)
    for number, part in enumerate(parts):
        numbers[list(part)] = number
    return numbers


def question_weights(uids: Sequence[Hashable], lengths: Sequence[int], parts: Sequence[Sequence[int]]) -> np.ndarray:
    """(N,) weight of one token of each sequence, so that off-policy distillation averages as Alg. 2.

    The mean over the tokens of a target, then over the targets of a question, then over questions. Within a mini-batch
    the weights of all tokens add up to 1.

    Args:
        uids: (N,) question of each target sequence.
        lengths: (N,) its tokens.
        parts: the mini-batches.
    """
    weights = np.zeros(len(uids))
    for part in parts:
        targets = Counter(uids[i] for i in part)
        for i in part:
            weights[i] = 1 / (len(targets) * targets[uids[i]] * lengths[i])
    return weights
