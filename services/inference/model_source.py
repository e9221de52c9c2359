"""Where a model's files are: a folder, a folder inside of an installed package, or a name in the Hugging Face cache."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE_SCHEME = "package://"


class ModelNotFoundError(Exception):
    """There are no such files; the text says what was looked for."""


def model_folder(source: str) -> str:
    """The folder of `source`, with config and tokenizer in it. Downloads nothing. Raises ModelNotFoundError.

    `/path/to/folder`, `package://package_name/path/inside` (the package is not imported), or `organization/name` in the
    local Hugging Face cache, which `hf download` fills.
    """
    if source.startswith(PACKAGE_SCHEME):
        folder = _in_package(source.removeprefix(PACKAGE_SCHEME))
    elif source.startswith(("/", ".", "~")):
        folder = Path(source).expanduser()
    else:
        folder = _in_cache(source)
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(f"{source}: there is no config.json in {folder}")
    return str(folder)


def _in_package(place: str) -> Path:
    package, _, inside = place.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]) / inside


def _in_cache(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise ModelNotFoundError(f"{name} is neither a folder nor in the Hugging Face cache") from None
