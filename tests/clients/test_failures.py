from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli import secrecy
from rsr_cli.clients.failures import LONGEST_MESSAGE, Failure, Fault, failure_of_response, fit_to_show

# Messages as the servers word them.
CASES = [
    (400, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens", Fault.PROMPT),
    (400, "The input (12345 tokens) is longer than the model's context length (4096 tokens).", Fault.PROMPT),
    (400, "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 "
     "tokens and your request has 200 input tokens", Fault.PROMPT),
    (400, "the request exceeds the available context size. try increasing the context size", Fault.PROMPT),
    (400, "The input token count (2000) exceeds the maximum number of tokens allowed (1000).", Fault.PROMPT),
    (400, "prompt is too long: 210000 tokens > 200000 maximum", Fault.PROMPT),
    (413, "Request Entity Too Large", Fault.PROMPT),
    (400, "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
     Fault.FILTERED),
    (400, "max_tokens is too large: 100000. This model supports at most 16384 completion tokens", Fault.REQUEST),
    (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
     Fault.REQUEST),
    (422, "Conversation roles must alternate user/assistant", Fault.REQUEST),
    (400, "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is "
     "supported.", Fault.RUN),
    (400, "Unsupported parameter: 'top_p' is not supported with this model.", Fault.RUN),
    (400, "The model `gpt-9` does not exist or you do not have access to it.", Fault.RUN),
    (400, "Model Not Exist", Fault.RUN),
    (400, "foo/bar is not a valid model ID", Fault.RUN),
    (404, "model 'x' not found, try pulling it first", Fault.RUN),
    (404, "Not Found", Fault.PATH),
    (405, "Method Not Allowed", Fault.PATH),
    (301, "", Fault.RUN),
    (401, "Incorrect API key provided", Fault.ACCOUNT),
    (402, "Insufficient Balance", Fault.ACCOUNT),
    (403, "Forbidden", Fault.ACCOUNT),
    (429, "You exceeded your current quota, please check your plan and billing details.", Fault.ACCOUNT),
    (429, "Rate limit reached for requests", Fault.RATE_LIMIT),
    (408, "", Fault.SERVER),
    (409, "", Fault.SERVER),
    (425, "", Fault.SERVER),
    (500, "CUDA out of memory", Fault.SERVER),
    (503, "Loading model", Fault.SERVER),
    (529, "Overloaded", Fault.SERVER),
    (500, "Something went wrong, please try again later", Fault.SERVER),
    (401, "Invalid key, fix it and try again", Fault.ACCOUNT),
    (400, "Fix top_k and try again", Fault.REQUEST),
    (400, "Too many tokens in the prompt", Fault.PROMPT),
    (400, "Too many tokens, please wait before trying again", Fault.RATE_LIMIT),
    (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000", Fault.PROMPT),
    (403, "Your input was flagged", Fault.FILTERED),
    (403, "Rate Limit Exceeded", Fault.RATE_LIMIT),
    (429, "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'", Fault.RATE_LIMIT),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "fault"), CASES)
def test_whose_fault_it_is(status: int, message: str, fault: Fault) -> None:
    shapes = [
        {"error": {"message": message, "type": "invalid_request_error", "param": None}},
        {"object": "error", "message": message, "type": "BadRequest", "code": status},
        [{"error": {"message": message, "code": status, "status": "INVALID_ARGUMENT"}}],
        {"error": message},
        {"detail": message},
    ]
    for body in (*map(orjson.dumps, shapes), message.encode()):
        failure = failure_of_response(status, {}, body)
        assert failure.fault is fault, body
        assert message in failure.message


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (400, "context_length_exceeded", Fault.PROMPT),
        (400, "exceed_context_size_error", Fault.PROMPT),
        (400, "content_filter", Fault.FILTERED),
        (429, "insufficient_quota", Fault.ACCOUNT),
        (400, "billing_hard_limit_reached", Fault.ACCOUNT),
        (400, "model_not_found", Fault.RUN),
    ],
)
def test_the_code_decides_where_the_words_do_not(status: int, code: str, fault: Fault) -> None:
    for key in ("code", "type"):
        body = orjson.dumps({"error": {"message": "No.", key: code}})
        assert failure_of_response(status, {}, body).fault is fault


@pytest.mark.parametrize(("status", "late"), [(408, True), (504, True), (500, False), (503, False), (400, False)])
def test_a_server_that_was_too_slow(status: int, late: bool) -> None:
    assert failure_of_response(status, {}, b"").timed_out is late


def test_an_html_page_is_told_by_its_words() -> None:
    body = b"<html><style>b {color: red}</style><h1>502 Bad Gateway</h1><p>nginx</html>"
    failure = failure_of_response(502, {}, body)
    assert fit_to_show(failure.message) == "HTTP 502: 502 Bad Gateway nginx"


@given(st.integers(300, 599), st.binary(max_size=200))
def test_any_body_makes_a_failure(status: int, body: bytes) -> None:
    assert isinstance(failure_of_response(status, {}, body), Failure)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"message": "Please retry in 1.1s."}, 1.1),
        ({"message": "Please try again in 1m20.5s. Need more? Upgrade."}, 80.5),
        ({"message": "wait 20 seconds"}, 20),
        ({"message": "Retry after 3 minutes"}, 180),
        ({"message": "Try again later"}, None),
        ({"message": "no", "details": [{"@type": "Help"}, {"@type": "RetryInfo", "retryDelay": "17s"}]}, 17),
        ({"message": "no", "details": "none"}, None),
        ({"message": "no", "retry_after": 2.5}, 2.5),
        ({"message": "no", "retry_after": -1}, None),
        ({"message": "no", "metadata": {"headers": {"X-RateLimit-Reset": "9"}}}, 9),
        ({"message": "no", "metadata": {"headers": [1]}}, None),
    ],
)
def test_the_wait_that_an_error_asks_for(error: dict[str, object], seconds: float | None) -> None:
    assert failure_of_response(429, {}, orjson.dumps({"error": error})).wait_s == seconds
    headers = {"retry-after": "7"}
    assert failure_of_response(429, headers, orjson.dumps([{"error": error}])).wait_s == 7


@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "code", "details", "retryDelay", "metadata", "headers", "retry_after"]
                ),
                x,
            )
        ),
    )
)
def test_any_document_makes_a_failure(document: object) -> None:
    body = json.dumps({"error": document}).encode()
    assert isinstance(failure_of_response(429, {}, body), Failure)


def test_nothing_secret_and_no_control_characters_are_shown() -> None:
    secrecy.keep(["my-own-api-key"])
    assert fit_to_show("bad key my-own-api-key") == "bad key [secret]"
    assert fit_to_show("Incorrect API key provided: sk-proj-abc****wxyz.") == "Incorrect API key provided: [secret]"
    assert fit_to_show("got 'Bearer abcdef'") == "got 'Bearer [secret]'"
    assert fit_to_show("at https://me:pw@host/v1?api-version=1&key=2 now") == "at https://host/v1 now"
    assert fit_to_show("a\x1b[31mred\r\n\x00b\u202e") == "a [31mred b"
    assert len(fit_to_show("x" * 10_000)) == LONGEST_MESSAGE


def test_a_key_that_is_a_common_word_is_left_in() -> None:
    secrecy.keep(["none", "EMPTY", "a", "123"])
    assert fit_to_show("none of it is EMPTY, a 123") == "none of it is EMPTY, a 123"
