"""Where an installation is and what is typed to reach it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.local.folder import DataFolder
from tools.local.launch import ROOT

DEMO_MODEL = ROOT / "tools" / "demo_model" / "model"


def data_folder(given: Path | None) -> DataFolder:
    """The data folder: as given, as CAPSTAN_DATA_DIR says, or `.capstan` in the checkout."""
    chosen = given or os.environ.get("CAPSTAN_DATA_DIR") or ROOT / ".capstan"
    return DataFolder(Path(chosen).expanduser().absolute())


def typed_command() -> str:
    """What the user types for this program: `capstan` if that finds it, else its path."""
    own = Path(sys.argv[0])
    found = shutil.which("capstan")
    if found and Path(found).resolve() == own.resolve():
        return "capstan"
    return shortened(own.absolute()) if own.name == "capstan" else "capstan"


def shortened(path: Path) -> str:
    """`path` relative to the working directory if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def model(given: str) -> str:
    """A model as the engine takes it: a folder's absolute path, or a hub id as it is."""
    folder = Path(given).expanduser()
    return str(folder.resolve()) if folder.is_dir() else given
