"""The simulator's thoughts."""

from __future__ import annotations

from services.inference.sim_thought import CLOSING, OPENING, thought
from services.inference.sim_vocabulary import NO_THOUGHT, SimTokenizer, make_tape

TOKENIZER = SimTokenizer()
TAPE = make_tape(TOKENIZER)
TAGS = len(TOKENIZER.encode(OPENING + CLOSING, framed=False))


def test_a_thought_stands_between_its_tags_and_is_whole_characters() -> None:
    for length in range(1, 60):
        tokens = thought([1, 2], length, TAPE, TOKENIZER)
        text = "".join(token.text for token in tokens)
        assert length <= len(tokens) - TAGS < length + 20
        assert text == TOKENIZER.decode([token.token_id for token in tokens])
        assert text.startswith(OPENING)
        assert text.endswith(CLOSING)


def test_nobody_thinks_who_shall_not() -> None:
    prompt = TOKENIZER.encode(TOKENIZER.render_chat([], [], enable_thinking=False), framed=False)
    assert TOKENIZER.decode(prompt).endswith(NO_THOUGHT)
    assert thought(prompt, 5, TAPE, TOKENIZER) == []
    assert thought([1], 0, TAPE, TOKENIZER) == []
