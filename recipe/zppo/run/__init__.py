"""The files of a run: metrics, rollouts, status, lock, identity. May import: the method, config, rollout."""
