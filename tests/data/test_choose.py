"""The rule of the cap against a walk over all candidates, whatever the portions are."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.data.choose import Candidate, Chooser, order, rank

DIGESTS = st.integers(0, 40)


@st.composite
def sub_sets(draw):
    """Rows as (priority, digest, unit, row), with digests given twice, and why some can't be kept."""
    rows = draw(st.lists(st.tuples(st.integers(0, 1), DIGESTS), max_size=60))
    places = draw(st.permutations([(number // 7, number % 7) for number in range(len(rows))]))
    bad = draw(st.dictionaries(DIGESTS, st.sampled_from(["small_image", "long_prompt"]), max_size=25))
    # A digest belongs to one source, since the source is part of it.
    found = [
        (digest % 2 if priority else 0, digest, *place) for (priority, digest), place in zip(rows, places, strict=True)
    ]
    return found, bad


def reference(rows, bad, cap, seed, fill):
    """From the text of the rule: sort, walk, keep."""
    kept, dropped, seen = [], Counter(), set()
    best = min((priority for priority, *_ in rows), default=0)
    for priority, digest, unit, row in sorted(rows, key=lambda r: (r[0], rank(seed, r[1]), r[2], r[3])):
        if priority != best and not fill:
            dropped["other_source"] += 1
        elif digest in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(digest)
            if len(kept) == cap:
                dropped["over_cap"] += 1
            elif digest in bad:
                dropped[bad[digest]] += 1
            else:
                kept.append((unit, row))
    return kept, dropped


@given(sub_sets(), st.integers(0, 30), st.integers(0, 3), st.booleans(), st.randoms(use_true_random=False))
def test_the_rule_does_not_depend_on_order_or_portions(sub_set, cap, seed, fill, random):
    rows, bad = sub_set
    shuffled = random.sample(rows, len(rows))
    candidates = [
        Candidate(priority, rank(seed, digest), digest, unit, row) for priority, digest, unit, row in shuffled
    ]
    ordered, dropped = order(candidates, fill=fill)
    chooser = Chooser(ordered, cap)
    looked_at = 0
    while portion := chooser.portion():
        looked_at += len(portion)
        chooser.tell([bad.get(candidate.digest) for candidate in portion])
    kept = [(candidate.unit, candidate.row) for candidate in chooser.kept]
    assert (kept, dropped + chooser.counts()) == reference(rows, bad, cap, seed, fill)
    assert len(kept) + sum((dropped + chooser.counts()).values()) == len(rows)
    assert looked_at <= len(ordered) + 16 * len(ordered)


def test_ranks_are_spread_and_differ_by_seed():
    ranks = [rank(0, digest) for digest in range(2000)]
    assert len(set(ranks)) == 2000
    assert 0.45 < sum(value > 2**63 for value in ranks) / 2000 < 0.55
    assert rank(0, 5) != rank(1, 5) != rank(1, 5, "order")


def test_no_more_is_looked_at_than_the_cap_needs():
    candidates = [Candidate(0, number, number, 0, number) for number in range(1000)]
    assert len(Chooser(candidates, 100).portion()) == 125
    assert Chooser(candidates, 0).portion() == ()


MANY = [Candidate(0, number, number, 0, number) for number in range(30_000)]


@given(st.integers(0, 3000), st.floats(0.2, 1), st.integers(0, 100))
def test_two_or_three_portions_do(cap, rate, seed):
    """Each portion is another walk over the files. Rows pass at random."""
    chance, chooser, sizes = random.Random(seed), Chooser(MANY, cap), []
    while portion := chooser.portion():
        sizes.append(len(portion))
        chooser.tell([None if chance.random() < rate else "small_image" for _ in portion])
    assert len(chooser.kept) == cap and len(sizes) <= 4
    if cap >= 100 and rate >= 0.3:
        assert len(sizes) <= 3
        assert sum(sizes) <= 1.6 * cap / rate + 100
