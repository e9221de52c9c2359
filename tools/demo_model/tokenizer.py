"""The tokenizer: byte-level BPE that splits numbers into digits, so that sums can be learned."""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_model.conversation import END, START, Conversation

SPECIAL = ("<|endoftext|>", START, END)
"""Padding, start and end of a message, at the ids 0, 1 and 2."""

PAD_ID, END_ID = 0, 2


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn a vocabulary of `size` entries; `<tool_call>` is one token, but not special: clients see it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size - 2,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False), AddedToken("</tool_call>", special=False)])
    return tokenizer


def encode(tokenizer: Tokenizer, conversation: Conversation, longest: int) -> tuple[list[int], list[int]]:
    """Return token ids and labels of a conversation, cut to `longest`; -100 labels what is not learned."""
    ids: list[int] = []
    labels: list[int] = []
    for learned, text in conversation.pieces():
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        labels += piece if learned else [-100] * len(piece)
    return ids[:longest], labels[:longest]
