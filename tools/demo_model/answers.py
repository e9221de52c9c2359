"""Greedy answers of a model folder, many prompts at a time, with transformers alone."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tools.demo_model.conversation import END

LONGEST_ANSWER = 160
"""Tokens after which an answer is cut."""


class Answerer:
    """A loaded model that answers prompts already rendered by the chat template."""

    def __init__(self, folder: Path, batch: int = 64) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.batch = batch

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """Return the answers in the order of the prompts; those of about one length are answered together."""
        answers = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for at in range(0, len(order), self.batch):
            chosen = order[at : at + self.batch]
            for i, answer in zip(chosen, self._answer([prompts[i] for i in chosen]), strict=True):
                answers[i] = answer
        return answers

    def _answer(self, prompts: list[str]) -> list[str]:
        inputs = self.tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            tokens = self.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=LONGEST_ANSWER,
                do_sample=False,
            )
        texts = self.tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=False)
        return [text.split(END)[0] for text in texts]
