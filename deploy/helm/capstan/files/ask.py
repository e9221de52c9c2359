"""`helm test`: the public API answers. With a key it answers a chat request, without one it refuses a made-up one.

Refusing takes the gateway, auth and the database; nothing else than an unknown key is answered with that code.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

PATIENCE_S = 120.0


def ask(base_url: str, key: str, model: str) -> tuple[int, dict[str, object]]:
    """Send a chat request; answer status and body."""
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_completion_tokens": 16}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{base_url}/v1/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main() -> int:
    """Ask until the answer is the right one, or time is up."""
    key = os.environ.get("API_KEY", "")
    wanted = 200 if key else 401
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            status, body = ask(os.environ["BASE_URL"], key or "sk-proj-nobody", os.environ["MODEL"])
        except OSError as error:
            status, body = 0, {"error": str(error)}
        print(status, json.dumps(body), flush=True)
        if status == wanted:
            return 0
        if time.monotonic() > end:
            return 1
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
