"""The prompt replay buffer: hard questions wait here until the student solves them or they are evicted."""

from recipe.zppo.replay_buffer.buffer import PromptReplayBuffer
from recipe.zppo.replay_buffer.entries import BufferEntry, UpdateReport
from recipe.zppo.replay_buffer.fates import MOST_VISITS_COUNTED
from recipe.zppo.replay_buffer.weights import REPLAY_WEIGHTS

__all__ = ["MOST_VISITS_COUNTED", "REPLAY_WEIGHTS", "BufferEntry", "PromptReplayBuffer", "UpdateReport"]
