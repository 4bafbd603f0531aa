"""The files of a run: events, metrics, rollouts, status, lock, identity. May import: the method, config, rollout."""
