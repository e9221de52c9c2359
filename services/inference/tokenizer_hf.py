"""The vocabulary of a Hugging Face model folder: its tokenizer file and its chat template.

It has its own copy of the tokenizer, apart from the engine's, because the file may ask for truncation and padding,
which would silently cut a long text, and switching them off must not race with the engine's threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.inference.tokenizer import NoChatTemplateError, TemplateRefusedError


def byte_of_symbol() -> dict[str, int]:
    """The printable stand-ins that byte-level BPE vocabularies use for bytes (GPT-2's table, turned around)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


class HuggingFaceTokenizer:
    """The tokenizer and the chat template in a model folder. Reads files once, at construction."""

    def __init__(self, folder: str) -> None:
        """Raises OSError or ValueError when the folder holds no usable tokenizer."""
        from tokenizers import Tokenizer as Backend
        from transformers import AutoTokenizer

        self._hf = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self._backend = Backend.from_str(self._hf.backend_tokenizer.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self._size = self._backend.get_vocab_size(with_added_tokens=True)
        added = self._backend.get_added_tokens_decoder()
        self._added = {token_id: token.content for token_id, token in added.items()}
        self._controls = frozenset(token.content for token in added.values() if token.special)
        self._symbols = byte_of_symbol() if "ByteLevel" in str(self._backend.decoder) else None

    @property
    def vocabulary_size(self) -> int:
        """See `Tokenizer`."""
        return self._size

    @property
    def control_texts(self) -> frozenset[str]:
        """See `Tokenizer`."""
        return self._controls

    @property
    def has_chat_template(self) -> bool:
        """See `Tokenizer`."""
        return bool(self._hf.chat_template)

    @property
    def keeps_characters(self) -> bool:
        """See `Tokenizer`."""
        return self._backend.normalizer is None

    def encode(self, text: str, *, framed: bool) -> list[int]:
        """See `Tokenizer`."""
        # The batch call lets other threads run meanwhile and computes no offsets; the plain one does neither.
        ids: list[int] = self._backend.encode_batch_fast([text], add_special_tokens=framed)[0].ids
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        """See `Tokenizer`."""
        if (content := self._added.get(token_id)) is not None:
            return content.encode()
        piece = self._backend.id_to_token(token_id)
        if piece is None:
            return b""
        if self._symbols is not None:
            return bytes(self._symbols[symbol] for symbol in piece if symbol in self._symbols)
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):  # byte fallback: <0xE4>
            return bytes([int(piece[3:5], 16)])
        return str(piece).replace("\u2581", " ").encode()

    def decode(self, token_ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        return str(self._backend.decode(list(token_ids), skip_special_tokens=False))

    def render_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], **options: Any
    ) -> str:
        """See `Tokenizer`."""
        from jinja2.exceptions import TemplateError

        if not self.has_chat_template:
            raise NoChatTemplateError
        try:
            rendered = self._hf.apply_chat_template(
                [dict(message) for message in messages],
                tools=[dict(tool) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=True,
                **options,
            )
        except TemplateError as error:
            raise TemplateRefusedError(error.message or "the chat template refused the conversation") from error
        except (TypeError, ValueError, KeyError) as error:  # a template that does arithmetic on what is not there
            raise TemplateRefusedError("the chat template cannot render this conversation") from error
        return str(rendered)
