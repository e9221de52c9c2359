"""What runs in the client's pod, with the official SDK: `chat`, `once` or `stream MODEL`, `load MODEL STREAMS`.

`once` is a chat that is not asked again. `load` makes the file /tmp/started after its first stream and goes on until
/tmp/stop is there. The SDK asks again where it does by default, before an answer has begun; a stream that breaks later
is seen.
"""

import json
import pathlib
import sys
import threading
import time

import openai

STARTED, STOP = pathlib.Path("/tmp/started"), pathlib.Path("/tmp/stop")  # in a pod of its own
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def chat(client: openai.OpenAI, model: str) -> dict[str, object]:
    """One whole answer."""
    answer = client.chat.completions.create(model=model, messages=QUESTION, max_completion_tokens=32)
    text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
    return {"text": text, "finish": finish} | told(answer._request_id, answer.usage)


def once(client: openai.OpenAI, model: str) -> dict[str, object]:
    """One whole answer at the first attempt, or an error; as long as a gateway waits for a model to wake."""
    return chat(client.with_options(max_retries=0, timeout=300), model)


def stream(client: openai.OpenAI, model: str) -> dict[str, object]:
    """One answer in pieces."""
    begin, first, pieces, finish = time.monotonic(), None, 0, None
    options = {"include_usage": True}
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, max_completion_tokens=64, stream=True, stream_options=options
    )
    usage = None
    for chunk in answer:
        first = first or time.monotonic()
        usage = chunk.usage or usage
        if chunk.choices:
            pieces += 1
            finish = chunk.choices[0].finish_reason or finish
    request_id = answer.response.headers["x-request-id"]
    return {"pieces": pieces, "finish": finish, "first_s": round((first or 0) - begin, 3)} | told(request_id, usage)


def told(request_id: str, usage: openai.types.CompletionUsage | None) -> dict[str, object]:
    """What a client was told that a completed request used, as `verify --told` reads it."""
    if usage is None:
        return {}
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return {
        "request_id": request_id,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": cached,
    }


def load(client: openai.OpenAI, model: str, streams: int) -> list[dict[str, object]]:
    """Streams, `streams` at a time; what became of each."""
    results: list[dict[str, object]] = []

    def one_after_another() -> None:
        while not STOP.exists():
            try:
                results.append(stream(client, model))
            except Exception as error:  # whatever it is, it is counted
                results.append({"error": f"{type(error).__name__}: {error}", "at": time.time()})
                time.sleep(0.5)
            STARTED.touch()

    threads = [threading.Thread(target=one_after_another) for _ in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def main() -> None:
    """Do what the arguments say, print it as JSON."""
    client = openai.OpenAI(timeout=120)
    what, model, *more = sys.argv[1:]
    doing = {"chat": chat, "once": once, "stream": stream, "load": lambda c, m: load(c, m, int(more[0]))}[what]
    print(json.dumps(doing(client, model)))


main()
