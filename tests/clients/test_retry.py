from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli.clients.retry import RetryPolicy, hinted_wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"x-ratelimit-reset": "12"}, 12),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-remaining-requests": "0"}, 90),
        (
            {
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "1s",
                "x-ratelimit-remaining-tokens": "900",
            },
            2,
        ),
        ({"x-ratelimit-reset-requests": "a while"}, None),
    ],
)
def test_the_hints_of_servers(headers: dict[str, str], seconds: float | None) -> None:
    assert hinted_wait(headers, rate_limited=True) == seconds


def test_points_in_time() -> None:
    assert hinted_wait({"retry-after": formatdate(time.time() + 30, usegmt=True)}, rate_limited=False) == pytest.approx(
        30, abs=2
    )
    # By the server's clock, which may be an hour slow.
    dates = {name: formatdate(time.time() - 3600 + wait, usegmt=True) for name, wait in (("date", 0), ("later", 30))}
    assert hinted_wait({"retry-after": dates["later"], "date": dates["date"]}, rate_limited=False) == 30
    assert hinted_wait({"retry-after": dates["later"], "date": "garbage"}, rate_limited=False) == 0
    for scale in (1, 1000):
        reset = {"x-ratelimit-reset": str((time.time() + 30) * scale)}
        assert hinted_wait(reset, rate_limited=True) == pytest.approx(30, abs=2)


def test_the_reset_of_a_limit_matters_to_the_limited_only() -> None:
    assert hinted_wait({"x-ratelimit-reset": "12"}, rate_limited=False) is None


@given(st.text(max_size=20))
def test_no_header_breaks_it(text: str) -> None:
    for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset"):
        seconds = hinted_wait({name: text}, rate_limited=True)
        assert seconds is None or seconds >= 0


def test_waits_double_up_to_the_longest_and_are_jittered() -> None:
    policy = RetryPolicy(first_wait=0.5, longest_wait=60)
    for failures, longest in ((1, 0.5), (2, 1), (4, 4), (8, 60), (5000, 60)):
        waits = {policy.wait(failures) for _ in range(50)}
        assert len(waits) > 40
        assert longest / 2 <= min(waits) <= max(waits) <= longest


def test_a_hint_is_followed_within_reason() -> None:
    policy = RetryPolicy(longest_hint=300)
    assert 7 <= policy.wait(1, hint=7) <= 7.3
    assert policy.wait(1, hint=86400) <= 300.3
