"""A question's way through a step: plain group, teacher, candidates, extra groups. May import: the method, config."""
