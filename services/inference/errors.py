"""What an engine can refuse or fail, as types.

::

    EngineError
    ├── InvalidRequestError        the caller's fault: a value out of range, named in `param`
    │   └── PromptTooLongError     the prompt alone does not fit
    ├── UnknownAdapterError        no adapter is loaded under that name (any more)
    ├── AdapterRejectedError       these files cannot be an adapter of this model
    │   └── AdapterMissingError    there are no files
    ├── AdapterConflictError       the name is taken by other files
    ├── AdaptersFullError          every adapter slot is in use
    ├── EngineOverloadedError      the engine's own bounded queue is full
    ├── GenerationFailedError      this request failed, the engine lives
    └── EngineDeadError            nothing will ever come out of this engine again

Messages are written here, never taken from a client or a library, except where a comment says so.
"""

from __future__ import annotations


class EngineError(Exception):
    """Anything an engine reports instead of an answer."""


class InvalidRequestError(EngineError):
    """The request asks for what no engine can do, or this one cannot."""

    def __init__(self, message: str, *, param: str) -> None:
        super().__init__(message)
        self.param = param


class PromptTooLongError(InvalidRequestError):
    """The prompt leaves no room for a single new token."""

    def __init__(self, prompt_tokens: int, max_model_tokens: int) -> None:
        super().__init__(
            f"the prompt has {prompt_tokens} tokens, the model's context {max_model_tokens}", param="prompt"
        )
        self.prompt_tokens = prompt_tokens
        self.max_model_tokens = max_model_tokens


class AdapterError(EngineError):
    """An adapter could not be used, loaded or found; `name` says which."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class UnknownAdapterError(AdapterError):
    """No adapter is loaded under that name."""


class AdapterRejectedError(AdapterError):
    """The files are missing, unsafe, or do not fit the model."""


class AdapterMissingError(AdapterRejectedError):
    """There is no such folder."""


class AdapterConflictError(AdapterError):
    """The name is already taken by an adapter from another path."""


class AdaptersFullError(AdapterError):
    """There is no free adapter slot; unload one first."""


class EngineOverloadedError(EngineError):
    """The engine's own queue is full. Safe to retry elsewhere."""


class GenerationFailedError(EngineError):
    """The engine failed at this request and goes on with others."""


class EngineDeadError(EngineError):
    """The engine cannot come back within this process: it has to be restarted."""
