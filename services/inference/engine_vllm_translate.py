"""Between our values and vLLM's: sampling parameters and constraints in, deltas, log probabilities and errors out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from services.inference.engine import NOT_KNOWN, Delta, FinishReason, LogprobEntry, TokenLogprobs, Vector
from services.inference.errors import (
    EngineDeadError,
    EngineError,
    EngineOverloadedError,
    GenerationFailedError,
    InvalidRequestError,
)
from services.inference.request import (
    Choice,
    Constraint,
    GenerationRequest,
    Grammar,
    JsonObject,
    JsonSchema,
    Regex,
    Sampling,
    StructuralTag,
)

if TYPE_CHECKING:
    from vllm.outputs import CompletionOutput
    from vllm.sampling_params import SamplingParams

TokenBytes = Callable[[int], bytes]

_SMALLEST_TOP_P = 1e-6  # vLLM wants more than 0; this is one candidate
_FINISH = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH, "abort": FinishReason.ABORT}


def sampling_parameters(request: GenerationRequest, max_model_tokens: int) -> SamplingParams:
    """What vLLM is told of a checked request. Raises InvalidRequestError for a constraint it cannot take."""
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    sampling = request.sampling
    try:
        constraint = None if request.constraint is None else StructuredOutputsParams(**_constraint(request.constraint))
        return SamplingParams(
            n=sampling.choices,
            max_tokens=max(request.max_tokens(max_model_tokens), 1),
            min_tokens=sampling.min_tokens,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            logit_bias=dict(sampling.logit_bias) or None,
            seed=sampling.seed,
            stop=list(sampling.stop),
            logprobs=sampling.top_logprobs,
            prompt_logprobs=sampling.prompt_logprobs,
            ignore_eos=sampling.ignore_eos,
            structured_outputs=constraint,
            output_kind=RequestOutputKind.DELTA,
            skip_clone=True,
            skip_special_tokens=not request.control_tokens,
            **_randomness(sampling),
        )
    except VLLMValidationError as error:
        raise _refusal(error, request) from error


def _randomness(sampling: Sampling) -> dict[str, Any]:
    if sampling.temperature == 0 and sampling.choices > 1:
        # vLLM refuses greedy sampling of several choices; one candidate per place is the same.
        return {"temperature": 1.0, "top_k": 1}
    return {"temperature": sampling.temperature, "top_p": max(sampling.top_p, _SMALLEST_TOP_P)}


def _constraint(constraint: Constraint) -> dict[str, Any]:
    match constraint:
        case JsonSchema(schema):
            return {"json": schema}
        case JsonObject():
            return {"json_object": True}
        case Regex(pattern):
            return {"regex": pattern}
        case Choice(options):
            return {"choice": list(options)}
        case Grammar(ebnf):
            return {"grammar": ebnf}
        case StructuralTag(tag):
            return {"structural_tag": tag}


def delta_of(output: CompletionOutput, sampling: Sampling, cached_tokens: int, token_bytes: TokenBytes) -> Delta:
    """One choice's news. Raises GenerationFailedError when the engine gave the choice up."""
    finish = None
    if output.finish_reason is not None:
        finish = _FINISH.get(output.finish_reason)
        if finish is None:
            raise GenerationFailedError(f"the engine ended the request with {output.finish_reason!r}")
    logprobs = None
    if output.logprobs is not None:
        logprobs = [
            token_logprobs(token_id, place or {}, sampling.top_logprobs or 0, token_bytes)
            for token_id, place in zip(output.token_ids, output.logprobs, strict=False)
        ]
    return Delta(output.index, output.text, len(output.token_ids), finish, logprobs, None, cached_tokens)


def token_logprobs(token_id: int, place: Mapping[int, Any], count: int, token_bytes: TokenBytes) -> TokenLogprobs:
    """The probabilities at one place, from vLLM's mapping of token id to `Logprob`; empty: not known."""
    if token_id not in place:
        return TokenLogprobs(LogprobEntry(token_bytes(token_id), NOT_KNOWN))
    # The chosen token is in the mapping even when it is not among the likeliest, with its own, greater rank.
    ranked = sorted((value.rank, other, value.logprob) for other, value in place.items() if value.rank <= count)
    top = tuple(LogprobEntry(token_bytes(other), max(logprob, NOT_KNOWN)) for _, other, logprob in ranked)
    return TokenLogprobs(LogprobEntry(token_bytes(token_id), max(place[token_id].logprob, NOT_KNOWN)), top)


def prompt_logprobs(
    request: GenerationRequest, places: Sequence[Mapping[int, Any] | None], token_bytes: TokenBytes
) -> list[TokenLogprobs]:
    """The same for a prompt; its first token has none."""
    count = request.sampling.prompt_logprobs or 0
    return [
        token_logprobs(token_id, place or {}, count, token_bytes)
        for token_id, place in zip(request.prompt, places, strict=True)
    ]


def vector_of(tensor: Any) -> Vector:
    """A torch tensor's values."""
    values = array("f")
    values.frombytes(tensor.float().cpu().contiguous().numpy().tobytes())
    return values


def error_of(error: Exception, request: GenerationRequest | None = None) -> EngineError:
    """What an exception of vLLM means here."""
    from vllm.exceptions import GracefulHTTPError, VLLMClientError
    from vllm.v1.engine import exceptions

    if isinstance(error, EngineError):
        return error
    if isinstance(error, exceptions.EngineDeadError):
        return EngineDeadError("the engine died")
    if isinstance(error, GracefulHTTPError):
        return EngineOverloadedError("the engine's queue is full")
    if isinstance(error, VLLMClientError) or isinstance(error.__cause__, ValueError):
        return _refusal(error, request)
    return GenerationFailedError(f"the engine failed: {type(error).__name__}")


def _refusal(error: Exception, request: GenerationRequest | None) -> InvalidRequestError:
    """In our words: vLLM's name its own parts. Values were checked before, so a constraint is the likeliest cause."""
    param = getattr(error, "parameter", None)
    if request is not None and request.constraint is not None and param is None:
        return InvalidRequestError("the engine cannot follow this format", param="response_format")
    return InvalidRequestError("the engine refuses this value", param=param or "prompt")
