"""Ask the suite in a cluster one question: `python -m tools.ask --model NAME`.

Makes the first API key when there is none yet and keeps it in `.capstan/cluster.key`, because it is shown only once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

KEY = Path(".capstan/cluster.key")
TIMEOUT_S = 60.0


def first_key(kept: Path, deployment: str) -> str:
    """The key that was kept, or one that is made now. Raises `SystemExit` when it was made before and not kept."""
    if kept.exists():
        return kept.read_text(encoding="utf-8").strip()
    line = ["kubectl", "exec", f"deploy/{deployment}", "--", "python3", "-m", "services.auth", "bootstrap"]
    made = json.loads(subprocess.run(line, check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout)
    if "api_key" not in made:
        raise SystemExit(f"There is an organisation already and its key is not in {kept}.")
    kept.parent.mkdir(exist_ok=True)
    kept.touch(mode=0o600)
    kept.write_text(made["api_key"] + "\n", encoding="utf-8")
    return str(made["api_key"])


def ask(base_url: str, key: str, model: str, question: str) -> str:
    """Send a chat request; answer the text. Raises `OSError` (also for an HTTP status that is an error)."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_completion_tokens": 64}
    request = urllib.request.Request(  # noqa: S310  # the address is the caller's own
        f"{base_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return str(json.load(answer)["choices"][0]["message"]["content"])


def main(arguments: list[str]) -> int:
    """Ask and print."""
    parser = argparse.ArgumentParser(description="Ask the suite in a cluster one question.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--question", default="What is the capital of France?")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument("--release", default="capstan")
    options = parser.parse_args(arguments)
    key = first_key(KEY, f"{options.release}-auth")
    print(ask(options.base_url, key, options.model, options.question))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
