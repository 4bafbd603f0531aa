r"""A word-level tokenizer with Qwen's chat template (ChatML).

Numbers 0 to 63, letters, and the few signs of a bill are one token each; so is every fixed sentence of the
templates, which keeps the real prompts short. Line breaks are kept (verl's token builder for Qwen asks for a line
break of one token); a tag takes the line break on its inner side with it. Other white space is dropped on reading and
never written, so `\boxed{14}` is decoded as it stands. Anything else is `<|unk|>`.
"""

import string
from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recipe.zppo.world import templates

PAD, UNK, START, END = "<|pad|>", "<|unk|>", "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")
LINE_BREAKS = ("\n", "\n\n")
LARGEST_NUMBER = 63
SIGNS = ("+", "=?", "=", r"\boxed{", "}", ",", ".")

_WORD = r"=\?|\\boxed\{|\d+|\S"

_CHAT_TEMPLATE = r"""{%- for message in messages -%}
{%- if message.role not in ['system', 'user', 'assistant'] -%}
{{- raise_exception('unknown role: ' + message.role) -}}
{%- endif -%}
{{- '<|im_start|>' + message.role + '\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for item in message.content -%}
ITEM
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}
"""

_TEXT_ITEM = r"""{%- if item.type != 'text' -%}
{{- raise_exception('the price list has no content of type ' + item.type) -}}
{%- endif -%}
{{- item.text -}}"""


def build_tokenizer(max_length: int = 1024) -> PreTrainedTokenizerFast:
    """The tokenizer; `len()` of it is the models' vocabulary size."""
    words = [*ROLES, *map(str, range(LARGEST_NUMBER + 1)), *string.ascii_letters, *SIGNS]
    return word_level([PAD, UNK, START, END], words, _WORD, fixed=ROLES, item=_TEXT_ITEM, max_length=max_length)


def word_level(
    special: Sequence[str], words: Sequence[str], pattern: str, *, fixed: Sequence[str] = (), item: str, max_length: int
) -> PreTrainedTokenizerFast:
    """A tokenizer of a world.

    Args:
        special, words: the tokens. Line breaks, tags and fixed sentences of the templates come after them.
        pattern: what is a word; what no match covers is dropped.
        fixed: of the words, those that are also found inside of what `pattern` would take for one word.
        item: the chat template's part for one item of a message's content.
    """
    vocabulary = {word: n for n, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in special])
    whole = (*LINE_BREAKS, *fixed, *templates.tags(), *templates.sentences())
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in whole])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        eos_token=END,
        extra_special_tokens=[word for word in special if word not in (PAD, UNK, END)],
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = _CHAT_TEMPLATE.replace("ITEM", item)
    return fast


def prompt_ids(tokenizer: PreTrainedTokenizerFast, messages: list[dict]) -> list[int]:
    """Token ids of a prompt as a rollout server sees it."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(text, add_special_tokens=False)
