r"""A word-level tokenizer with Qwen's chat template (ChatML).

Numbers 0 to 63, letters, and the few signs of a bill are one token each; so is every fixed sentence of the
templates, which keeps the real prompts short. Line breaks are kept (verl's token builder for Qwen asks for a line
break of one token); a tag takes the line break on its inner side with it. Other white space is dropped on reading and
never written, so `\boxed{14}` is decoded as it stands. Anything else is `<|unk|>`.
"""

import string

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recipe.zppo.world import templates

PAD, UNK, START, END = "<|pad|>", "<|unk|>", "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")
LINE_BREAKS = ("\n", "\n\n")
LARGEST_NUMBER = 63
SIGNS = ("+", "=?", "=", r"\boxed{", "}", ",", ".")

_WORD = r"=\?|\\boxed\{|\d+|\S"

CHAT_TEMPLATE = r"""{%- for message in messages -%}
{%- if message.role not in ['system', 'user', 'assistant'] -%}
{{- raise_exception('unknown role: ' + message.role) -}}
{%- endif -%}
{{- '<|im_start|>' + message.role + '\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for item in message.content -%}
{%- if item.type != 'text' -%}
{{- raise_exception('the price list has no content of type ' + item.type) -}}
{%- endif -%}
{{- item.text -}}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}
"""


def build_tokenizer(max_length: int = 1024) -> PreTrainedTokenizerFast:
    """The tokenizer; `len()` of it is the models' vocabulary size."""
    words = [PAD, UNK, START, END]
    num_special = len(words)
    words += ROLES
    words += [*map(str, range(LARGEST_NUMBER + 1)), *string.ascii_letters, *SIGNS]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in words[:num_special]])
    fixed = (*LINE_BREAKS, *ROLES, *templates.tags(), *templates.sentences())
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in fixed])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        eos_token=END,
        extra_special_tokens=[START],
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def prompt_ids(tokenizer: PreTrainedTokenizerFast, messages: list[dict]) -> list[int]:
    """Token ids of a prompt as a rollout server sees it."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(text, add_special_tokens=False)
