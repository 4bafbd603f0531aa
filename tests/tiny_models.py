"""Tiny random models, written once a session in the layout that verl and transformers load."""

from typing import Any

WORDS = [str(n) for n in range(64)] + [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("+-*=?.{}\\\n")
SPECIAL = ["<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL += ["<|image_pad|>", "<|video_pad|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def make_tokenizer():
    """Word level: a word, number or sign is one token. A newline is one too: verl asks it of a Qwen tokenizer."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {token: i for i, token in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d+|\n|\S"), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIAL[2:3] + SPECIAL[4:],
        chat_template=CHAT_TEMPLATE,
    )


def make_qwen3(vocab_size: int, *, seed: int = 0, **changes: Any):
    """About 0.46 million parameters; wide initial weights, so that the distribution is not flat."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = dict(
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=24,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.08,
        eos_token_id=3,
        pad_token_id=0,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=vocab_size, **config | changes))
