"""Documents and prompts as a model takes them: token ids, and batches of them."""

from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from recipe.zppo.prompts import Messages
from recipe.zppo.world.documents import Document
from recipe.zppo.world.tokenizer import END, prompt_ids

IGNORED = -100


class Batch(NamedTuple):
    """Documents of about equal length, padded on the right.

    Padding there changes nothing before it, neither under a causal mask nor in a recurrence: it needs no mask.
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor


class Encoder:
    """Turns documents into batches, prompts into model inputs."""

    chunk_documents = 8

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        self.tokenizer = tokenizer

    def prompt_ids(self, messages: Messages) -> list[int]:
        return prompt_ids(self.tokenizer, messages)

    def tokens(self, document: Document) -> tuple[list[int], list[int]]:
        """Token ids of the prompt and of the response with its end token."""
        response = self.tokenizer.encode(document.response + END, add_special_tokens=False)
        return self.prompt_ids(document.messages), response

    def inputs(self, ids: torch.Tensor, conversations: list[Messages]) -> dict[str, torch.Tensor]:
        """What the model takes for the tokens `ids` (rows, width) of these conversations."""
        return {"input_ids": ids}

    def batches(self, documents: list[Document]) -> list[Batch]:
        """All documents, a batch of at most `chunk_documents` each, the short ones together."""
        encoded = [(document, *self.tokens(document)) for document in documents]
        encoded.sort(key=lambda item: len(item[1]) + len(item[2]))
        starts = range(0, len(encoded), self.chunk_documents)
        return [self._batch(encoded[start : start + self.chunk_documents]) for start in starts]

    def _batch(self, encoded: list[tuple[Document, list[int], list[int]]]) -> Batch:
        width = max(len(prompt) + len(response) for _, prompt, response in encoded)
        ids = torch.full((len(encoded), width), self.tokenizer.pad_token_id)
        labels = torch.full((len(encoded), width), IGNORED)
        for row, (_, prompt, response) in enumerate(encoded):
            end = len(prompt) + len(response)
            ids[row, :end] = torch.tensor(prompt + response)
            labels[row, len(prompt) : end] = torch.tensor(response)
        return Batch(self.inputs(ids, [document.messages for document, _, _ in encoded]), labels)
