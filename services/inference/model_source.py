"""Where a model's files are: a folder, a folder in an installed package, or a name on the Hugging Face hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE_SCHEME = "package://"
WANTED_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.tiktoken")
"""What is downloaded: weights as safetensors, configuration and tokenizer. Never code, never pickles."""


class ModelNotFoundError(Exception):
    """There are no such files; the text says what was looked for."""


def model_folder(source: str, *, download: bool = False) -> str:
    """The folder of `source`, with config and tokenizer in it. Raises ModelNotFoundError.

    `/path/to/folder`, `package://package_name/path/inside` (the package is not imported), or `organization/name` in the
    local Hugging Face cache; with `download`, what is not there is fetched from the hub.
    """
    if source.startswith(PACKAGE_SCHEME):
        folder = _in_package(source.removeprefix(PACKAGE_SCHEME))
    elif source.startswith(("/", ".", "~")):
        folder = Path(source).expanduser()
    else:
        folder = _from_hub(source, download=download)
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(f"{source}: there is no config.json in {folder}")
    return str(folder)


def _in_package(place: str) -> Path:
    package, _, inside = place.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]) / inside


def _from_hub(name: str, *, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=not download, allow_patterns=list(WANTED_FILES)))
    except (LocalEntryNotFoundError, HFValidationError):
        where = "nor on the hub that this machine can reach" if download else "nor in the Hugging Face cache"
        raise ModelNotFoundError(f"{name} is neither a folder {where}") from None
    except (HfHubHTTPError, OSError) as error:
        raise ModelNotFoundError(f"{name} could not be downloaded: {error}") from None
