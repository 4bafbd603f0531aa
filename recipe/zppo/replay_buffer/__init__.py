"""The prompt replay buffer: hard questions wait here until the student solves them or they are evicted."""

from recipe.zppo.replay_buffer.buffer import MOST_VISITS_COUNTED, BufferEntry, PromptReplayBuffer, UpdateReport
from recipe.zppo.replay_buffer.weights import REPLAY_WEIGHTS

__all__ = ["MOST_VISITS_COUNTED", "REPLAY_WEIGHTS", "BufferEntry", "PromptReplayBuffer", "UpdateReport"]
