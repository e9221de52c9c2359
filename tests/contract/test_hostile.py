"""Whatever is sent, the answer is a 4xx in the envelope, and the suite goes on as if nothing had been."""

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.contract.suite import Suite
from tools.local.roster import CHAT, EMBEDDING_NAME, EMBEDDINGS

CHATS, TEXTS, VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HI = [{"role": "user", "content": "Hi"}]
MODEL = "capstan-demo"
LARGEST_BODY = 4 * 2**20

NO_JSON = {
    "nothing": b"",
    "garbage": bytes(range(256)),
    "no UTF-8": b'{"model": "\xff\xfe"}',
    "half a document": b'{"model": "x", "messages": [',
    "two documents": b"{}{}",
    "null": b"null",
    "an array": b"[]",
    "a text": b'"hello"',
    "NaN": b'{"model": NaN}',
    "Infinity": b'{"model": -Infinity}',
    "a number without end": b'{"model": ' + b"9" * 100_000 + b"}",
    "a deep document": b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a lone surrogate": b'{"model": "\\ud800"}',
    "NUL": b'{"model": "\\u0000"}',
    "UTF-16": '{"model": "x"}'.encode("utf-16"),
    "a BOM": b'\xef\xbb\xbf{"model": "x"}',
    "an empty object": b"{}",
    "unknown keys": json.dumps({f"k{number}": number for number in range(5000)}).encode(),
    "a million values": b'{"model": [' + b"{}," * 300_000 + b"{}]}",
}


def text(**changes: Any) -> bytes:
    return json.dumps({"model": MODEL, "prompt": "x", "max_tokens": 1} | changes).encode()


def chat(**changes: Any) -> bytes:
    return json.dumps({"model": MODEL, "messages": HI, "max_tokens": 1} | changes).encode()


def vector(**changes: Any) -> bytes:
    return json.dumps({"model": EMBEDDING_NAME, "input": "x"} | changes).encode()


def said(content: Any) -> bytes:
    return chat(messages=[{"role": "user", "content": content}])


def tool(**changes: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}} | changes}


def shaped(schema: Any, *, strict: bool = False) -> bytes:
    named = {"name": "n", "schema": schema, "strict": strict}
    return chat(response_format={"type": "json_schema", "json_schema": named})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


HOSTILE_CHATS = {
    "a model that is a number": chat(model=5),
    "a model without a name": chat(model=""),
    "a model with an endless name": chat(model="a" * 100_000),
    "a model that is a path": chat(model="../../etc/passwd"),
    "no messages": chat(messages=[]),
    "messages that are none": chat(messages={}),
    "null messages": chat(messages=[None]),
    "messages as a text": chat(messages="Hi"),
    "100,000 messages": chat(messages=HI * 100_000),
    "no role": chat(messages=[{"content": "Hi"}]),
    "an unknown role": chat(messages=[{"role": "root", "content": "Hi"}]),
    "no content": chat(messages=[{"role": "user"}]),
    "empty parts": said([]),
    "a part that is a number": said([1]),
    "an image": said([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]),
    "a number said": said(5),
    "NUL said": said("\0"),
    "a surrogate said": said("x").replace(b'"x"', b'"\\udc00x"'),
    "an answer to no call": chat(messages=[*HI, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]),
    "a call without an answer": chat(
        messages=[
            *HI,
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}],
            },
        ]
    ),
    "4 MB said": said("a" * (LARGEST_BODY - 1000)),
    "4 MB of rare characters": said("\u0bf5" * (LARGEST_BODY // 6 - 1000)),
    "more than 4 MB": said("a" * LARGEST_BODY),
    "a vast n": chat(n=10**30),
    "n of 129": chat(n=129),
    "n of -1": chat(n=-1),
    "half an n": chat(n=1.5),
    "n as a text": chat(n="2"),
    "n as a truth": chat(n=True),
    "a hot temperature": chat(temperature=1e308),
    "a temperature in words": chat(temperature="warm"),
    "a vast max_tokens": chat(max_tokens=10**18),
    "no max_tokens": chat(max_tokens=0),
    "a fractional max_tokens": chat(max_tokens=1.5),
    "a vast seed": chat(seed=2**64),
    "21 logprobs": chat(logprobs=True, top_logprobs=21),
    "logprobs unasked": chat(top_logprobs=2),
    "an empty stop": chat(stop=""),
    "a number as stop": chat(stop=5),
    "five stops": chat(stop=list("abcde")),
    "a bias for no token": chat(logit_bias={"-1": 1}),
    "a bias for a token that is not": chat(logit_bias={"999999999": 1}),
    "a vast bias": chat(logit_bias={"5": 1e9}),
    "a stream of texts": chat(stream="yes"),
    "no tools": chat(tools=[]),
    "129 tools": chat(tools=[tool(name=f"f{number}") for number in range(129)]),
    "a tool with a bad name": chat(tools=[tool(name="rm -rf /")]),
    "a tool that is deep": chat(tools=[tool(parameters=nested(300))]),
    "a tool that is not there": chat(tools=[tool()], tool_choice={"type": "function", "function": {"name": "g"}}),
    "a choice without tools": chat(tool_choice="required"),
    "a demanded tool with a broken schema": chat(tools=[tool(parameters={"type": 5})], tool_choice="required"),
    "a shape that is unknown": chat(response_format={"type": "xml"}),
    "a shape without a schema": chat(response_format={"type": "json_schema"}),
    "a schema of no type": shaped({"type": "nonsense"}),
    "a schema that is a list": shaped([]),
    "a schema with a broken pattern": shaped(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(("}}}
    ),
    "a schema that refers to nothing": shaped({"$ref": "#/$defs/nothing"}),
    "a schema that is open and strict": shaped({"type": "object"}, strict=True),
    "a deep schema": shaped(nested(300)),
    "a user that is a list": chat(user=[1]),
    "metadata that is too much": chat(metadata={f"k{number}": "v" for number in range(17)}),
    "options of the engine": chat(extra_args={"kv_transfer_params": {}}),
    "a template": chat(chat_template="{{ ''.__class__.__mro__ }}"),
}

HOSTILE_TEXTS = {
    "a prompt that is an object": text(prompt={}),
    "no prompts": text(prompt=[]),
    "prompts of two kinds": text(prompt=["a", 1]),
    "a token that is not": text(prompt=[999_999_999]),
    "a negative token": text(prompt=[-1]),
    "a fractional token": text(prompt=[1.5]),
    "an empty list of tokens": text(prompt=[[]]),
    "129 prompts": text(prompt=["a"] * 129),
    "a prompt with NUL": text(prompt="a\0b"),
    "a prompt beyond the context": text(prompt="word " * 5000),
    "tokens beyond the context": text(prompt=[300] * 5000),
    "six logprobs": text(logprobs=6),
    "best_of below n": text(n=3, best_of=2),
    "a vast best_of": text(best_of=10**9),
    "a suffix": text(suffix="x"),
    "embeddings as a prompt": text(prompt_embeds="gASVAAAA"),
}

HOSTILE_VECTORS = {
    "an empty text": vector(input=""),
    "no texts": vector(input=[]),
    "an empty text among others": vector(input=["a", ""]),
    "empty tokens": vector(input=[[]]),
    "a token that is not": vector(input=[999_999_999]),
    "a number": vector(input=5),
    "2,049 texts": vector(input=["a"] * 2049),
    "an input beyond the context": vector(input="word " * 3000),
    "dimensions it does not have": vector(dimensions=100_000),
    "no dimensions": vector(dimensions=0),
    "an unknown format": vector(encoding_format="hex"),
    "a surrogate": b'{"model": "all-minilm-l6-v2", "input": "\\ud800"}',
    "NUL": vector(input="\0"),
}

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-x\r\n"
NO_HTTP = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "a line without end": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "a header without end": HEAD + b"x: " + b"a" * 200_000 + b"\r\n\r\n",
    "10,000 headers": HEAD + b"".join(b"x-%d: 1\r\n" % number for number in range(10_000)) + b"\r\n",
    "a negative length": HEAD + b"content-length: -1\r\n\r\n",
    "two lengths": HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n{}  ",
    "a length and chunks": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks that are none": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a split header": HEAD + b"x\r\n y: 1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    "a method that is none": b"B\x00EW / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a version from elsewhere": b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
}


@pytest.fixture(scope="module", autouse=True)
def _unmoved(suite: Suite, client: OpenAI) -> Iterator[None]:
    """No process was lost over it, none complained of a bug, and the next question is answered."""
    names = ("gateway", "auth", "ratelimit", "router", CHAT, EMBEDDINGS)
    before = {name: (suite.stack.unit(name).pid, suite.stack.log(name).count("Traceback")) for name in names}
    yield
    answer = client.chat.completions.create(model=MODEL, messages=HI, temperature=0)
    assert answer.choices[0].message.content.startswith("Hi!")
    after = {name: (suite.stack.unit(name).pid, suite.stack.log(name).count("Traceback")) for name in names}
    assert after == before


@pytest.mark.parametrize("name", NO_JSON)
@pytest.mark.parametrize("path", [CHATS, TEXTS, VECTORS])
def test_a_body_that_is_no_request_is_refused(suite: Suite, path: str, name: str) -> None:
    answer = suite.post(path, NO_JSON[name])
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(path, body, id=f"{path.rpartition('/')[2]}: {name}")
        for path, bodies in ((CHATS, HOSTILE_CHATS), (TEXTS, HOSTILE_TEXTS), (VECTORS, HOSTILE_VECTORS))
        for name, body in bodies.items()
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_hostile_request_is_refused(suite: Suite, path: str, body: bytes, stream: bool) -> None:
    if stream and path != VECTORS and b'"stream"' not in body:
        body = body[:-1] + b', "stream": true}'
    answer = suite.post(path, body)
    assert 400 <= answer.status < 500
    assert answer.error["type"] == "invalid_request_error"
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_schema_that_refers_to_elsewhere_is_not_fetched(suite: Suite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        port = elsewhere.getsockname()[1]
        answer = suite.post(CHATS, shaped({"$ref": f"http://127.0.0.1:{port}/schema.json"}))
        assert answer.status == 400
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_packed_body_is_refused_unopened(suite: Suite, encoding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    answer = suite.post(CHATS, bomb, headers={"content-encoding": encoding})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_encoding")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
)
def test_another_media_type_is_refused(suite: Suite, kind: str) -> None:
    answer = suite.post(CHATS, chat(), headers={"content-type": kind})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")


@pytest.mark.parametrize("name", NO_HTTP)
def test_bytes_that_are_no_request_are_answered_or_hung_up_on(suite: Suite, name: str) -> None:
    answer = suite.send(NO_HTTP[name])
    assert not answer or b" 4" in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/../../etc/passwd", "/v1/models/%00", "/v1/models/" + "a" * 5000, "/%ff%fe", "/v1/models?limit=x"],
)
def test_any_path_is_answered_without_a_fault(suite: Suite, path: str) -> None:
    assert suite.get(path).status < 500
