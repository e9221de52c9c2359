"""From what pip printed to one sentence: the table of what goes wrong on other people's machines."""

from __future__ import annotations

import re

NO_SPACE = (
    "No space is left on the disk: free about 4 GB where the checkout is, or set TMPDIR for pip's work, and try again."
)
NO_NETWORK = "pip cannot reach its package source: check the network, the proxy and pip's configuration."
NO_TORCH = (
    "The CPU build of PyTorch is not in pip's configured sources for this Python: name an index that has it, as in "
    "`make up TORCH_INDEX_URL=https://…` (PyTorch's installation page names one)."
)
NO_COMPILER = (
    "The package {0} has no ready-made file for this machine and could not be compiled: install a C compiler and "
    "Python's headers (build-essential and python3-dev, or the like), or use another Python version."
)
NO_PACKAGE = "The package {0} is not in pip's configured sources for this Python and this machine."
WRONG_HASH = (
    "A downloaded file is not the one the lock file names (wrong hash) and was not installed: clear pip's cache "
    "(`pip cache purge`) and look at the configured sources."
)
NO_TRUST = "pip does not trust the certificate of its package source: set PIP_CERT to your organisation's certificates."
NO_VENV = "This Python cannot make virtual environments: install its venv package (python3-venv on Debian and Ubuntu)."

SENTENCES = (
    (r"No space left on device|Errno 28", NO_SPACE),
    (r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Temporary failure in name resolution", NO_NETWORK),
    (r"No matching distribution found for torch", NO_TORCH),
    (r"(?:Failed building wheel for |based projects \()([\w.-]+)", NO_COMPILER),
    (r"No matching distribution found for ([\w.-]+)", NO_PACKAGE),
    (r"THESE PACKAGES DO NOT MATCH THE HASHES", WRONG_HASH),
    (r"CERTIFICATE_VERIFY_FAILED", NO_TRUST),
    (r"Permission denied: '?([^'\n]+)", "{0} cannot be written by this user."),
    (r"ensurepip is not available|No module named ensurepip", NO_VENV),
)
"""Pattern to sentence, the more telling first: one failure often prints several."""


def sentence_for(output: str) -> str:
    """The one sentence that tells the user what happened, from everything pip wrote."""
    for pattern, sentence in SENTENCES:
        found = re.search(pattern, output)
        if found:
            return sentence.format(*found.groups())
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR:")]
    return errors[0].removeprefix("ERROR: ") if errors else "pip failed without saying why."


def happening(line: str) -> str:
    """What a line of pip's output says about its progress, in a few words; "" if nothing."""
    for pattern, words in (
        (r"^Downloading (?:.*/)?([\w.]+)-[^ ]+ \(([^)]+)\)", "downloading {0}, {1}"),
        (r"^Collecting ([\w.\[\]-]+)", "looking for {0}"),
        (r"^Installing collected packages: (.*)", "unpacking {n} packages"),
    ):
        found = re.match(pattern, line.strip())
        if found:
            return words.format(*found.groups(), n=found[1].count(",") + 1)
    return ""
