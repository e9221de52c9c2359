"""Reads and writes a model folder in the Hugging Face layout; a server may read it while it is replaced."""

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from tools.demo_model.conversation import END, TEMPLATE
from tools.demo_model.tokenizer import END_ID, PAD_ID, SPECIAL

CONTEXT = 2048
"""The longest prompt and answer together, in tokens."""


def fresh(vocabulary: int) -> LlamaForCausalLM:
    """Return an untrained model of 4 layers; heads of 64 are a size that vLLM's CPU kernels know."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=256,
            num_hidden_layers=4,
            intermediate_size=768,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            max_position_embeddings=CONTEXT,
            rope_theta=10000.0,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=END_ID,
            pad_token_id=PAD_ID,
            attn_implementation="eager",
        )
    )


def load(folder: Path) -> tuple[LlamaForCausalLM, Tokenizer]:
    """Return the model in full precision and its tokenizer; eager attention is fastest on short texts."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write all files beside the folder and then move them in one by one: no reader sees half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        draft = Path(temporary)
        weights = {name: weight.detach().to(torch.bfloat16).contiguous() for name, weight in model.named_parameters()}
        save_file(weights, draft / "model.safetensors", {"format": "pt"})
        config = LlamaConfig(**model.config.to_dict())
        config.dtype = "bfloat16"
        config.architectures = ["LlamaForCausalLM"]
        config.save_pretrained(draft)
        tokenizer.save(str(draft / "tokenizer.json"))
        (draft / "chat_template.jinja").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
        _write_json(
            draft / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": CONTEXT,
                "bos_token": None,
                "add_bos_token": False,
                "eos_token": END,
                "pad_token": SPECIAL[PAD_ID],
                "clean_up_tokenization_spaces": False,
            },
        )
        _write_json(draft / "generation_config.json", {"eos_token_id": END_ID, "pad_token_id": PAD_ID})
        for file in sorted(draft.iterdir()):
            file.chmod(0o644)
            file.replace(folder / file.name)


def _write_json(file: Path, content: dict[str, object]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
