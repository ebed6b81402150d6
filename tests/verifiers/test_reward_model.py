"""reward-model, without torch: served models, activations, and options that do not go together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.clients.retry import RetryPolicy
from rsr_cli.errors import AuthError, BackendError, BackendUnavailable, ConfigError, RsrError
from rsr_cli.plugins import registry
from rsr_cli.types import Prompt, Verdict
from rsr_cli.verifiers import reward_model as module
from rsr_cli.verifiers.reward_model import RewardModel
from rsr_cli.verifiers.rewards import sequence_classifier
from rsr_cli.verifiers.rewards.logits import NoScoreError, score_of
from tests.conftest import Rsr
from tests.reward_server import RewardServer, length_logit, reward_server
from tests.work_dirs import rows, sums, write_config, write_rows

PROMPT = Prompt("p", [{"role": "user", "content": "Why?"}], {})
CHAT_TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def test_activations() -> None:
    assert score_of([-2.5], None, "none") == -2.5
    assert score_of([0.0], None, "sigmoid") == 0.5
    assert score_of([-1000.0], None, "sigmoid") == 0.0 and score_of([1000.0], None, "sigmoid") == 1.0
    assert score_of([1000.0, 1000.0], 1, "softmax") == 0.5
    for value in (math.nan, math.inf):
        with pytest.raises(NoScoreError, match="not a finite number"):
            score_of([value], None, "none")
    with pytest.raises(ConfigError, match="has 3 labels"):
        score_of([1.0, 2.0, 3.0], None, "none")
    with pytest.raises(ConfigError, match="2 is not among"):
        score_of([1.0, 2.0], 2, "none")


@pytest.fixture
def server() -> Iterator[RewardServer]:
    with reward_server() as running:
        yield running


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def policy(max_retries: int, outage_patience: float) -> RetryPolicy:
        return RetryPolicy(
            max_retries=max_retries, first_wait=0.001, longest_wait=0.01, startup_patience=0.2, failures_in_a_row=6
        )

    monkeypatch.setattr(module, "RetryPolicy", policy)


async def ask(server: RewardServer, *replies: str, **options: Any) -> list[Verdict]:
    async with RewardModel(**({"base_url": server.base_url, "model": "reward"} | options)) as judge:
        verdicts = await judge.judge(PROMPT, dict(enumerate(replies)))
    assert list(verdicts) == list(range(len(replies)))
    return list(verdicts.values())


@pytest.mark.parametrize("api", ["vllm-classify", "vllm-pooling", "vllm-score", "sglang"])
async def test_served_logits_come_without_an_activation(api: str, server: RewardServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {"api": api, "base_url": f"{server.base_url}/v1/", "api_key": "secret-key-1"}
    before = ""
    if api == "sglang":
        (tmp_path / "chat.jinja").write_text(CHAT_TEMPLATE)
        options["chat_template"] = str(tmp_path / "chat.jinja")
        before = "<user>Why?<assistant>"
    verdicts = await ask(server, "Because.", "b" * 40, **options)
    assert [verdict.score for verdict in verdicts] == [
        length_logit(before + "Because.")[0],
        length_logit(before + "b" * 40)[0],
    ]
    assert {verdict.status for verdict in verdicts} == {"scored"}
    assert set(server.authorization) == {"Bearer secret-key-1"}
    path, body = server.asked[0]
    assert path == {"vllm-pooling": "pooling", "vllm-score": "score"}.get(api, "classify")
    assert body["model"] == "reward" and "activation" not in body
    if api == "vllm-classify":
        assert body["messages"] == [*PROMPT.messages, {"role": "assistant", "content": "Because."}]
    if api == "vllm-score":
        assert body["text_1"] == "Why?"


async def test_a_row_per_token_is_scored_at_its_last(server: RewardServer) -> None:
    server.row_per_token = True
    [verdict] = await ask(server, "Because.", api="vllm-pooling")
    assert verdict.score == length_logit("Because.")[0]


async def test_several_labels(server: RewardServer) -> None:
    server.logits = lambda text: [1.0, 3.0]
    assert [verdict.score for verdict in await ask(server, "x", label=1)] == [3.0]
    [share] = await ask(server, "x", label=0, activation="softmax")
    assert share.score == pytest.approx(1 / (1 + math.exp(2)))
    with pytest.raises(ConfigError, match="has 2 labels"):
        await ask(server, "x")


@pytest.mark.parametrize("fault", ["500", "503", "html", "429-retry-after", "nonsense", "408"])
async def test_a_passing_fault_is_retried(fault: str, server: RewardServer) -> None:
    server.fault = lambda number: fault if number < 2 else None
    [verdict] = await ask(server, "Because.")
    assert verdict == Verdict(length_logit("Because.")[0])
    assert len(server.asked) == 3


async def test_one_reply_that_fails_takes_no_other_with_it(server: RewardServer) -> None:
    server.most_chars = 50
    server.logits = lambda text: [math.nan] if text == "nan" else [math.inf] if text == "inf" else [1.0]
    verdicts = await ask(server, "fine", "l" * 51, "nan", "inf", "fine too")
    assert [verdict.score for verdict in verdicts] == [1.0, None, None, None, 1.0]
    assert [verdict.status for verdict in verdicts] == ["scored", "error", "error", "error", "scored"]
    assert "maximum context length is 50" in str(verdicts[1].explanation)
    assert "not a finite number: nan" in str(verdicts[2].explanation)
    assert len(server.asked) == 5, "what can't succeed is not sent again"


async def test_a_hanging_server_is_a_timeout(server: RewardServer) -> None:
    server.fault = lambda number: "hang"
    [verdict] = await ask(server, "x", timeout=0.3, max_retries=1)
    assert (verdict.score, verdict.status) == (None, "timeout")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("fault", "options", "error", "words"),
    [
        ("401", {}, AuthError, "verifier.api_key"),
        (None, {"model": "other"}, BackendError, "verifier.model"),
        ("404", {}, BackendError, "refuses every request to /classify"),
        (None, {"base_url": "http://127.0.0.1:1"}, BackendUnavailable, "there is no server"),
        ("500", {}, BackendUnavailable, "requests in a row failed"),
    ],
)
async def test_what_no_reply_can_be_scored_with_ends_the_run(
    fault: str | None, options: dict[str, Any], error: type[RsrError], words: str, server: RewardServer
) -> None:
    server.fault = lambda number: fault
    with pytest.raises(error) as raised:
        await ask(server, *"abcdefgh", **options)
    assert words in str(raised.value)


async def test_two_servers_share_the_work(server: RewardServer) -> None:
    with reward_server() as other:
        await ask(server, *"abcdefgh", base_url=[server.base_url, other.base_url])
        assert len(server.asked) == len(other.asked) == 4


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "eos.jinja").write_text("{{ messages[0].content }}{{ eos_token }}")
    (tmp_path / "bad.jinja").write_text("{% for %}")
    served = {"base_url": "http://localhost:8000", "model": "m"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "give either model_path"),
        ({"model_path": "m", **served}, "give either model_path"),
        ({"base_url": "http://localhost:8000"}, "verifier.model is required"),
        ({**served, "batch_tokens": 9}, "verifier.batch_tokens is no option of a served model"),
        ({"model_path": "m", "api": "sglang"}, "verifier.api is no option of a model in this process"),
        ({**served, "activation": "softmax"}, "verifier.label is required"),
        ({**served, "api": "sglang"}, "SGLang takes text"),
        ({**served, "api": "sglang", "chat_template": str(tmp_path / "none")}, "can't be read"),
        ({**served, "api": "sglang", "chat_template": str(tmp_path / "eos.jinja")}, "uses eos_token"),
        ({**served, "api": "sglang", "chat_template": str(tmp_path / "bad.jinja")}, "verifier.chat_template: "),
        ({**served, "chat_template": "x.jinja"}, "vllm serve --chat-template"),
        ({**served, "base_url": "localhost:8000"}, "is not an http or https URL"),
    ]
    for options, words in cases:
        with pytest.raises(ConfigError) as raised:
            registry.build("verifier", "reward-model", options)
        assert words in str(raised.value), options


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[str], object | None] = lambda name: None if name == "torch" else object()  # noqa: E731
    monkeypatch.setattr(sequence_classifier, "find_spec", found)
    with pytest.raises(ConfigError, match=r"needs torch\n  pip install 'rsr-cli\[reward\]'"):
        RewardModel(model_path="somewhere")


def test_only_options_that_exist_are_said_to_change_no_verdict() -> None:
    assert RewardModel.no_verdict_change < set(RewardModel.model_fields)


def test_end_to_end(server: RewardServer, tmp_path: Path, rsr: Rsr) -> None:
    verifier = {"type": "reward-model", "base_url": server.base_url, "model": "reward"}
    config = write_config(
        tmp_path / "c.yaml", write_rows(tmp_path / "in.jsonl", sums(3)), "http://127.0.0.1:1/v1", verifier=verifier
    )
    assert rsr("prepare", config, "-w", tmp_path / "w").exit_code == 0
    texts = ["short", "<think>a long thought</think>a reply", "l" * 60]
    server.most_chars = 50
    made = [{"id": row["id"], "response": text} for row in sums(3) for text in texts]
    assert rsr("import", write_rows(tmp_path / "made.jsonl", made), "-w", tmp_path / "w").exit_code == 0
    outcome = rsr("verify", "-w", tmp_path / "w")
    assert outcome.exit_code == 0, outcome.stderr
    scores = [length_logit("short")[0], length_logit("a reply")[0], None]
    assert [row["score"] for row in rows(tmp_path / "w/score")] == scores * 3
