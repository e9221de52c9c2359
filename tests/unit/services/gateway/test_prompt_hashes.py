"""What the router is told of prompts: equal beginnings have equal hashes, for one organisation alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capstan.inference.v1 import inference_pb2 as pb
from services.gateway.peers.prompt_hashes import BEGINNINGS, body_hash, inputs_hash, prefix_hashes, session_hash


def chat(*turns: tuple[str, str]) -> pb.Start:
    return pb.Start(chat=pb.ChatPrompt(messages=[pb.ChatMessage(role=role, content=text) for role, text in turns]))


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_what_is_appended_changes_no_hash_of_a_beginning(begin: str, more: str) -> None:
    short, long = (prefix_hashes(pb.Start(text=text), "org-1") for text in (begin, begin + more))
    assert long[: len(short)] == short
    assert len(short) == sum(length <= len(begin.encode("utf-8", "surrogatepass")) for length in BEGINNINGS)


def test_a_growing_conversation_keeps_its_hashes() -> None:
    turns = [("system", "s" * 700), ("user", "u" * 900)]
    first = prefix_hashes(chat(*turns), "org-1")
    later = prefix_hashes(chat(*turns, ("assistant", "a" * 3000), ("user", "more")), "org-1")
    assert len(first) == 3
    assert later[:3] == first
    assert len(later) == 5


def test_another_organisation_has_other_hashes() -> None:
    start = pb.Start(text="x" * 1000)
    assert not set(prefix_hashes(start, "org-1")) & set(prefix_hashes(start, "org-2"))
    assert body_hash([start], "org-1") != body_hash([start], "org-2")
    assert session_hash(b"tab", start, "org-1") != session_hash(b"tab", start, "org-2")


def test_what_vectors_are_asked_of_has_a_hash_of_its_own() -> None:
    assert inputs_hash(["a", "b"], "org-1") == inputs_hash(["a", "b"], "org-1") != 0
    others: list[list[str] | list[list[int]]] = [["ab"], ["b", "a"], [[97], [98]]]
    assert inputs_hash(["a", "b"], "org-1") not in {inputs_hash(each, "org-1") for each in others}
    assert inputs_hash(["a"], "org-1") != inputs_hash(["a"], "org-2")


def test_roles_functions_and_token_ids_count() -> None:
    text = "x" * 300
    tool = pb.FunctionTool(name="look", parameters_json="{}")
    plain, system = chat(("user", text)), chat(("system", text))
    with_tool = chat(("user", text))
    with_tool.chat.tools.append(tool)
    tokens = pb.Start(tokens=pb.TokenPrompt(token_ids=range(100)))
    assert len({prefix_hashes(start, "org-1")[0] for start in (plain, system, with_tool, tokens)}) == 4


def test_a_short_prompt_has_none_and_a_huge_one_costs_no_more_than_its_beginnings() -> None:
    assert prefix_hashes(pb.Start(text="short"), "org-1") == []
    assert len(prefix_hashes(pb.Start(text="x" * 4_000_000), "org-1")) == len(BEGINNINGS)


def test_a_body_is_known_by_all_that_the_replica_is_asked() -> None:
    one = pb.Start(text="x", sampling=pb.Sampling(max_tokens=5))
    other = pb.Start(text="x", sampling=pb.Sampling(max_tokens=6))
    assert body_hash([one], "org-1") == body_hash([one], "org-1") != 0
    assert len({body_hash(starts, "org-1") for starts in ([one], [other], [one, other])}) == 3


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_a_conversation_under_way_is_known_by_its_first_question(turns: int) -> None:
    begin = [("system", "Be kind."), ("user", "Who are you?"), ("assistant", "Nobody.")]
    more = [("user", "And now?"), ("assistant", "Still nobody.")] * turns
    assert session_hash(b"", chat(*begin, *more), "org-1") == session_hash(b"", chat(*begin), "org-1") != 0


def test_what_begins_belongs_to_no_session() -> None:
    assert session_hash(b"", chat(("system", "Be kind."), ("user", "Who are you?")), "org-1") == 0
    assert session_hash(b"", pb.Start(text="x"), "org-1") == 0
