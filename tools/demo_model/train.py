"""Trains the demonstration chat model on the generated corpus; saves a folder for vLLM and transformers.

    python -m tools.demo_model.train --out model --minutes 25                     from nothing
    python -m tools.demo_model.train --out model --minutes 25 --init other        go on from an earlier one

The learning rate rises over the first 100 steps, stays, and falls to nearly nothing at the end of the time,
so give the minutes you really have. Ctrl-C saves what there is and ends. Training needs torch, transformers,
tokenizers and, unless --no-compile is given, a C++ compiler; one core and 2.5 GB of memory are enough.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from tools.demo_model import checkpoint, corpus
from tools.demo_model.draw import Sources
from tools.demo_model.tokenizer import encode, train_tokenizer

VOCABULARY = 2048
TOKENIZER_SAMPLES = 30_000
LONGEST = 512
"""Tokens after which a conversation is cut in training."""
POOL = 4096
"""Conversations that are sorted by length together, so that batches have little padding."""
WARM_UP_STEPS = 100
STEADY_SHARE = 0.3
"""Share of the time before the learning rate begins to fall."""


@dataclass(frozen=True)
class Plan:
    """What the command line asks for."""

    out: Path
    minutes: float
    init: Path | None
    batch: int
    rate: float
    seed: int
    save_every: int
    compiled: bool
    threads: int

    def rate_at(self, step: int, part: float) -> float:
        """Return the learning rate at a step when this part (0 to 1) of the time is over."""
        falling = 1.0 if part < STEADY_SHARE else max(0.02, (1 - part) / (1 - STEADY_SHARE))
        return self.rate * min(1.0, (step + 1) / WARM_UP_STEPS) * falling


def batches(tokenizer: Tokenizer, plan: Plan) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids, labels) for ever, each of about `plan.batch` tokens of about equally long conversations."""
    rng = random.Random(plan.seed)  # noqa: S311 - nothing secret
    stream = corpus.conversations(Sources.load(), plan.seed)
    while True:
        pool = sorted((encode(tokenizer, next(stream), LONGEST) for _ in range(POOL)), key=lambda item: len(item[0]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for item in pool:
            if groups[-1] and len(item[0]) * (len(groups[-1]) + 1) > plan.batch:
                groups.append([])
            groups[-1].append(item)
        rng.shuffle(groups)
        for group in groups:
            yield _padded([ids for ids, _ in group], 0), _padded([labels for _, labels in group], -100)


def _padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


def optimizers(model: LlamaForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices between the layers and AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def train(model: LlamaForCausalLM, tokenizer: Tokenizer, plan: Plan) -> None:
    """Train until the time is over or Ctrl-C is pressed; save now and then and at the end."""
    body = torch.compile(model.model, dynamic=True) if plan.compiled else model.model
    steppers = optimizers(model, plan.rate)
    start, seen, mean, step = time.monotonic(), 0, 0.0, 0
    try:
        for step, (ids, labels) in enumerate(batches(tokenizer, plan), 1):
            part = (time.monotonic() - start) / (plan.minutes * 60)
            if part >= 1:
                break
            for group in [group for stepper in steppers for group in stepper.param_groups]:
                group["lr"] = plan.rate_at(step, part)
            loss = _step(model, body, steppers, ids, labels)
            seen, mean = seen + ids.numel(), loss if step == 1 else 0.98 * mean + 0.02 * loss
            if math.isnan(mean):
                raise SystemExit("the loss is not a number any more: try a lower --rate")
            if step == 10 or step % 50 == 0:
                seconds = time.monotonic() - start
                print(
                    f"{part:4.0%}  step {step:5}  {seconds:5.0f} s  {seen / 1e6:6.2f} M tokens"
                    f"  {seen / seconds:5.0f} tokens/s"
                    f"  loss {mean:.4f}",
                    flush=True,
                )
            if step % plan.save_every == 0:
                checkpoint.save(model, tokenizer, plan.out)
    except KeyboardInterrupt:
        print("interrupted")
    checkpoint.save(model, tokenizer, plan.out)
    print(
        f"saved {plan.out} after {step} steps, {seen / 1e6:.2f} M tokens"
        f" and {(time.monotonic() - start) / 60:.1f} minutes"
    )


def _step(
    model: LlamaForCausalLM,
    body: torch.nn.Module,
    steppers: list[torch.optim.Optimizer],
    ids: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    with torch.autocast("cpu", torch.bfloat16):
        state = body(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        target = labels[:, 1:]
        learned = target != -100  # the output layer is computed only where there is something to learn
        logits = model.lm_head(state[learned])
    loss = torch.nn.functional.cross_entropy(logits.float(), target[learned])
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for stepper in steppers:
        stepper.step()
    return float(loss.item())


def parse(arguments: list[str] | None = None) -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo_model.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where the model is saved; files there are replaced",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=25,
        help="how long to train (25)",
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="FOLDER",
        help="go on from this model instead of starting with random weights",
    )
    parser.add_argument("--batch", type=int, default=6144, help="tokens in a batch (6144)")
    parser.add_argument(
        "--rate",
        type=float,
        default=2e-3,
        help="highest learning rate (0.002); take less to go on from a good model",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another seed is another corpus (0); go on with another one than before",
    )
    parser.add_argument("--save-every", type=int, default=200, metavar="STEPS", help="steps between checkpoints (200)")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of torch (1); more than the cores you have slow it down",
    )
    parser.add_argument(
        "--no-compile",
        dest="compiled",
        action="store_false",
        help="do without a C++ compiler, somewhat slower",
    )
    return Plan(**vars(parser.parse_args(arguments)))


def main() -> None:
    """Train as the command line says."""
    plan = parse()
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    if plan.init:
        model, tokenizer = checkpoint.load(plan.init)
    else:
        stream = corpus.conversations(Sources.load(), plan.seed + 1)
        tokenizer = train_tokenizer((next(stream).text() for _ in range(TOKENIZER_SAMPLES)), VOCABULARY)
        model = checkpoint.fresh(VOCABULARY)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{millions:.2f} M parameters, vocabulary {tokenizer.get_vocab_size()}", flush=True)
    checkpoint.save(model, tokenizer, plan.out)  # whatever keeps a folder from being written shows now, not at the end
    train(model, tokenizer, plan)


if __name__ == "__main__":
    main()
