"""A question's way through a step: plain group, teacher, candidates, reformulated groups. May import: the method, config."""
