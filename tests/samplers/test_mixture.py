"""Several samplers in one run: who draws what, what members have from their section, and what is saved."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.config.load import LoadedConfig, load_config
from rsr_cli.config.settings import SamplerSettings, Sampling
from rsr_cli.errors import AuthError, ConfigError
from rsr_cli.samplers.build import build
from rsr_cli.types import Completion
from tests.conftest import Rsr
from tests.samplers.drawing import draw, prompt
from tests.server import ModelServer, Scenario, written_out
from tests.work_dirs import rows, sums, write_config, write_rows

Servers = Callable[[Scenario], ModelServer]


def mixture(*members: dict[str, Any], sampling: Sampling | None = None, **common: Any) -> Any:
    """A mixture of these members, and what they have in common."""
    settings = {"type": "mixture", "members": list(members), "timeout": 5.0, **common}
    return build(SamplerSettings.model_validate(settings), sampling or Sampling())


async def drawn(backend: Any, prompts: int, attempts: int = 4) -> list[Completion]:
    async with backend:
        groups = await asyncio.gather(*(draw(backend, range(attempts), prompt(id=f"p{i}")) for i in range(prompts)))
    return [completion for group in groups for completion in group]


async def test_attempts_are_drawn_by_share(model_servers: Servers) -> None:
    one, other = model_servers(Scenario(model="one")), model_servers(Scenario(model="other"))
    members = [{"base_url": one.base_url, "share": 3}, {"base_url": other.base_url}]
    completions = await drawn(mixture(*members), 250)
    assert [completion.attempt for completion in completions] == [0, 1, 2, 3] * 250
    counts = Counter(completion.model for completion in completions)
    assert 700 < counts["one"] < 800 and counts.total() == 1000
    again = await drawn(mixture(*members), 250, attempts=1)
    assert [completion.model for completion in again] == [completion.model for completion in completions[::4]]


async def test_members_have_what_they_do_not_set_from_their_section(model_servers: Servers) -> None:
    one, other = model_servers(Scenario(model="one")), model_servers(Scenario(model="other", api_key="k-other"))
    backend = mixture(
        {"base_url": one.base_url, "temperature": 0.1},
        {"base_url": other.base_url, "model": "b", "api_key": "k-other", "concurrent_requests": 7},
        model="a",
        max_tokens=33,
        extra_params={"top_k": 5},
    )
    assert (backend.capacity, backend.together) == (57, False)
    await drawn(backend, 4)
    asked = [{key: served.body[key] for key in ("model", "temperature", "max_tokens", "top_k")} for served in one.log]
    assert asked[0] == {"model": "a", "temperature": 0.1, "max_tokens": 33, "top_k": 5}
    asked = [{key: served.body[key] for key in ("model", "temperature", "max_tokens", "top_k")} for served in other.log]
    assert asked[0] == {"model": "b", "temperature": 0.7, "max_tokens": 33, "top_k": 5}


async def test_a_cut_attempt_climbs_at_the_member_that_drew_it(model_servers: Servers) -> None:
    long = "one two three four five six"
    servers = [model_servers(Scenario(model=name, reply=written_out(long))) for name in ("one", "other")]
    members = [{"base_url": server.base_url} for server in servers]
    backend = mixture(*members, sampling=Sampling(on_truncation="continue"), max_tokens=2)
    completions = await drawn(backend, 10)
    assert {completion.response for completion in completions} == {long}
    counts = Counter(completion.model for completion in completions)
    assert [sum("continue_final_message" in served.body for served in server.log) for server in servers] == [
        counts["one"],
        counts["other"],
    ]
    assert counts.total() == 40 and min(counts.values()) > 0


async def test_what_arrived_beside_a_fatal_failure_is_kept(model_servers: Servers) -> None:
    fine, refusing = model_servers(Scenario()), model_servers(Scenario())
    members = [{"base_url": fine.base_url}, {"base_url": refusing.base_url}]
    await drawn(mixture(*members), 1, attempts=20)
    share = len(fine.log)

    def refuse_late(number: int) -> str:
        while sum(served.ended is not None for served in fine.log) < 2 * share:
            time.sleep(0.005)
        time.sleep(0.05)  # the answers are on their way
        return "401"

    refusing.scenario.fault = refuse_late
    kept = []
    with pytest.raises(AuthError):
        async with mixture(*members) as backend:
            async for completion in backend.sample(prompt(id="p0"), range(20)):
                kept.append(completion)
    assert len(kept) == share > 0


def load(tmp_path: Path, text: str, *overrides: str) -> LoadedConfig:
    path = tmp_path / "c.yaml"
    path.write_text(f"data: {{input_path: in.jsonl}}\n{text}", encoding="utf-8")
    return load_config(path, overrides)


def test_a_list_of_samplers_is_a_mixture_and_is_saved_with_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-reference")
    text = "sampler:\n- {model: a, api_key: sk-literal, share: 2}\n- {model: b, api_key: '${OTHER_KEY}'}\n"
    loaded = load(tmp_path, text, "sampler.1.temperature=1e-1", "sampler.1.extra_params.token=sk-passed")
    first, second = loaded.config.sampler.members
    assert (loaded.config.sampler.type, first.share, second.share, second.temperature) == ("mixture", 2, 1, 0.1)
    assert [member.api_key.get_secret_value() for member in (first, second)] == ["sk-literal", "sk-reference"]
    saved = loaded.to_yaml()
    assert "sk-" not in saved and "${OTHER_KEY}" in saved
    (tmp_path / "saved.yaml").write_text(saved, encoding="utf-8")
    again = load_config(tmp_path / "saved.yaml", ["sampler.max_tokens=99"])
    settings = again.config.sampler
    assert [settings.in_full(member).max_tokens for member in settings.members] == [99, 99]
    assert [settings.in_full(member).model for member in settings.members] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sampler: [{model: a, temprature: 1}]", r"sampler\.members\.0\.temprature: unknown key, did you mean 'temp"),
        ("sampler: [{share: 0}]", r"sampler\.members\.0\.share: .*greater than 0"),
        ("sampler: []", "go together"),
        ("sampler: {members: [{model: a}]}", "go together"),
        ("sampler: {type: mixture}", "go together"),
        ("sampler: [{type: mixture}]", "can't be a member"),
        ("sampler: [{members: [{model: a}]}]", r"sampler\.members\.0\.members: unknown key"),
    ],
)
def test_what_is_no_mixture_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=why):
        load(tmp_path, text)


def test_a_run_with_two_models(rsr: Rsr, model_servers: Servers, tmp_path: Path) -> None:
    servers = [model_servers(Scenario(model=name)) for name in ("one", "other")]
    members = [{"base_url": server.base_url, "model": server.scenario.model} for server in servers]
    data = write_rows(tmp_path / "in.jsonl", sums(10))
    config = write_config(tmp_path / "c.yaml", data, "http://unused/v1", sampler=members)
    assert rsr("run", config, "-w", tmp_path / "w").exit_code == 0
    found = rows(tmp_path / "w" / "rollout")
    assert {row["model"] for row in found} == {"one", "other"}
    asked = sum(len(server.log) for server in servers)
    assert rsr("resume", tmp_path / "w").exit_code == 0
    assert sum(len(server.log) for server in servers) == asked
