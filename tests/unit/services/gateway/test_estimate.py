"""Estimates: high enough to reserve, low enough to be let in, and learning from what really came."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.estimate import CompletionForecast, prompt_tokens


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_a_prompt_is_never_thought_empty_and_grows_with_its_length(characters: int, messages: int) -> None:
    assert prompt_tokens(characters, messages) >= 1
    assert prompt_tokens(characters + 3, messages) > prompt_tokens(characters, messages)


def test_before_anything_was_seen_the_forecast_is_the_setting() -> None:
    assert CompletionForecast(256).tokens("key", "model") == 256


def test_the_forecast_comes_to_lie_above_nine_in_ten_answers() -> None:
    forecast = CompletionForecast(256)
    lengths = [50 + 10 * (number * 37 % 100) for number in range(3000)]  # 50 to 1,040, evenly
    for length in lengths:
        forecast.observe("key", "model", length)
    covered = sum(length <= forecast.tokens("key", "model") for length in lengths) / len(lengths)
    assert 0.75 <= covered <= 1.0


def test_short_answers_do_not_bring_it_below_its_floor() -> None:
    forecast = CompletionForecast(256)
    for _ in range(1000):
        forecast.observe("key", "model", 1)
    assert forecast.tokens("key", "model") == CompletionForecast.FLOOR


def test_keys_and_models_learn_apart() -> None:
    forecast = CompletionForecast(256)
    for _ in range(100):
        forecast.observe("key", "long", 4000)
    assert forecast.tokens("key", "long") > 256
    assert forecast.tokens("key", "short") == 256


def test_it_remembers_a_bounded_number_of_keys_and_forgets_the_oldest() -> None:
    forecast = CompletionForecast(256, capacity=2)
    for key in ("a", "b", "c"):
        for _ in range(50):
            forecast.observe(key, "model", 4000)
    assert forecast.tokens("a", "model") == 256
    assert forecast.tokens("c", "model") > 256
