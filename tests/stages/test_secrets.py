"""Many ways of giving a secret, through the whole pipeline and past servers that give back what they were sent: no file
of the work dir holds one, and nothing that is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import Outcome, Rsr
from tests.server import Ask, Reply
from tests.server.running import ModelServer
from tests.server.scenario import arithmetic_reply
from tests.work_dirs import rows, state, sums, write_config, write_rows

PLUGIN = '''
from pydantic import BaseModel
from rsr_cli.plugins.contracts import Verifier
from rsr_cli.types import Verdict

class Telling(BaseModel, Verifier):
    """Tells its options wherever it can."""

    lookup: str = ""
    nested: dict = {}
    login_password: str = ""

    def verify(self, reply, prompt):
        if prompt.id.endswith("1"):
            raise ValueError(f"{self.lookup} {self.nested}")
        return Verdict(1.0, "scored", "1", f"looked up with {self.lookup}", '{"why": "' + self.lookup + '"}')
'''
VARIABLES = {
    "extra_params": {
        "user": "${A1}",
        "metadata": {"team": "${A2}", "deep": [{"list": ["x", "${A3}"]}]},
        "tag": "before ${A4} after",
        "session": "${NOT_SET:-dflt-B1-4711}",
        "quoted": 'it is "${A5}"',
        "number": "${NUMBER_1}",
        "callback": "https://bob:${A6}@hook.example/x?token=${A7}",
        "apiKey": "${A8}",
        "two": "${A9}-${A10}",
        "top_k": "${SMALL}",
        "place": "${HOME_DIR}/data",
    },
    "headers": {"X-One": "${A11}", "Authorization-Two": "Basic ${A12}", "X-Three": "${NOT_SET:-dflt-B2-4711}"},
    "api_key": "${A13}",
}
LITERALS = {
    "extra_params": {
        "user_token": "lit-C1-4711",
        "client": {"secret": "lit-C2-4711", "password": 471147114711},
        "accessToken": "lit-C3-4711",
        "credentials": {"name": "lit-C4-4711", "list": ["lit-C5-4711"]},
        "callback": "https://eve:lit-C6-4711@hook.example/y?api-key=lit-C7-4711&sig=lit-C8-4711",
    },
    "headers": {"X-Four": "lit-C9-4711", "Cookie": "lit-C10-4711"},
    "api_key": "lit-C11-4711",
}
OF_A_JUDGE = {
    "extra_params": {"user": "${D1}", "nested": {"list": ["${D2}"]}, "user_token": "lit-E1-4711"},
    "headers": {"X-Judge": "${D3}", "X-Literal": "lit-E2-4711"},
    "api_key": "${D4}",
}
OF_A_PLUGIN = {"lookup": "${F1}", "nested": {"list": "${F2}"}, "login_password": "lit-G1-4711"}


def secrets() -> Iterator[str]:
    for name in [f"A{n}" for n in range(1, 14)] + ["D1", "D2", "D3", "D4", "F1", "F2", "H1", "H2", "H3", "H4", "P1"]:
        yield f"env-{name}-4711" + ("/+" if name not in ("A6", "A7", "H1", "H2", "H3", "H4") else "")
    yield "88774711223344"


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text in secrets():
        monkeypatch.setenv("NUMBER_1" if text.isdecimal() else text.split("-")[1], text)
    monkeypatch.setenv("SMALL", "20")
    monkeypatch.setenv("HOME_DIR", str(tmp_path))
    monkeypatch.delenv("NOT_SET", raising=False)


def found(text: str) -> list[str]:
    """The secrets in a text."""
    bare = [secret.removesuffix("/+") for secret in secrets()]
    return [secret for secret in bare if secret in text] + ["a literal"] * ("-4711" in text or "471147114711" in text)


def assert_none_in(work_dir: Path, *printed: Outcome) -> None:
    leaks = {
        str(path.relative_to(work_dir)): told
        for path in work_dir.rglob("*")
        if path.is_file() and (told := found(path.read_bytes().decode("latin-1")))
    }
    assert not leaks
    for outcome in printed:
        assert not found(outcome.stdout + outcome.stderr), outcome.stdout + outcome.stderr


def echoing(server: ModelServer, *, of: str = "What is 1") -> None:
    """For prompts that begin so, the server says in an error all that it was sent."""

    def fault(number: int) -> str | None:
        served = server.log[number]
        told = json.dumps([served.headers, served.query, {**served.body, "messages": ""}])
        return f"400 {told}" if served.prompt.startswith(of) and served.body["model"] != "judge" else None

    server.scenario.fault = fault


def judged(ask: Ask) -> Reply:
    return Reply('{"rationale": "good", "score": 9}') if ask.body["model"] == "judge" else arithmetic_reply(ask)


def url(server: ModelServer, user_info: str, query: str) -> str:
    return server.base_url.replace("://", f"://{user_info}@") + f"?{query}"


def written(tmp_path: Path, server: ModelServer, **sections: Any) -> Path:
    inputs = write_rows(tmp_path / "in.jsonl", [*sums(6)])
    sections = {
        "sampling": {"max_rollouts": 2, "step_size": 2, "early_stop": False},
        "formatter": [{"type": "sft", "pass_threshold": 0.1}],
        **sections,
    }
    return write_config(tmp_path / "c.yaml", inputs, server.base_url, **sections)


def drawn(rsr: Rsr, config: Path, work_dir: Path) -> Outcome:
    """Prepared and sampled: no verifier has to start."""
    assert rsr("prepare", config, "-w", work_dir).exit_code == 0
    outcome = rsr("sample", config, "-w", work_dir)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def sampler(server: ModelServer, kind: str) -> dict[str, Any]:
    if kind == "references":
        return {**VARIABLES, "base_url": url(server, "carol:${H1}", "api-key=${H2}&plain=${H3}")}
    return {**LITERALS, "base_url": url(server, "dan:lit-I1-4711", "key=lit-I2-4711&code=lit-I3-4711")}


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("kind", ["references", "literals"])
def test_no_secret_of_a_sampler_is_written_or_shown(
    kind: str, tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSR_DEBUG", "1")
    (tmp_path / "v.py").write_text(PLUGIN)
    config = written(
        tmp_path, model_server, sampler=sampler(model_server, kind),
        verifier={"type": "v.py:Telling", **OF_A_PLUGIN, "time_limit": 30},
    )  # fmt: skip
    echoing(model_server)
    work_dir = tmp_path / "w"
    printed = [
        rsr("config", config), rsr("config", config, "--json"), rsr("run", config, "--dry-run"),
        rsr("probe", config, "--json"), rsr("run", config, "-w", work_dir, "--json"),
    ]  # fmt: skip
    assert [outcome.exit_code for outcome in printed[:3]] == [0, 0, 0], printed[2].stderr
    sent = model_server.log[-1]
    assert sent.body["user" if kind == "references" else "user_token"] in ("env-A1-4711/+", "lit-C1-4711")
    assert any(row["error"] for row in rows(work_dir / "rollout")), "the server has given back what it was sent"
    assert any(row["response"] for row in rows(work_dir / "rollout"))
    printed += [rsr("show", work_dir, "--json", "--full"), rsr("show", work_dir), rsr("status", work_dir)]
    printed += [rsr("resume", work_dir), rsr("run", "-w", work_dir, "sampler.extra_params.user_token=lit-J1-4711")]
    printed += [rsr("prepare", config, "-w", tmp_path / "x", "sampler.max_tokens=${A1}")]
    printed += [
        rsr("prepare", config, "-w", tmp_path / "x", "data.input_path=https://u:lit-J2-4711@h/x?sig=lit-J3-4711")
    ]
    assert_none_in(work_dir, *printed)
    params = json.loads(rows(work_dir / "rollout")[0]["params"])["extra_params"]
    if kind == "references":
        assert params["user"] == "${A1}" and params["tag"] == "before ${A4} after" and params["top_k"] == 20
        assert rows(work_dir / "rollout")[-1]["model"] == "test-model"


@pytest.mark.usefixtures("variables")
def test_no_secret_of_a_judge_a_mixture_or_an_ensemble_is_written_or_shown(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    (tmp_path / "v.py").write_text(PLUGIN)
    model_server.scenario.reply = judged
    judge = {"type": "llm-judge", "model": "judge", **OF_A_JUDGE}
    judge["base_url"] = url(model_server, "frank:${H4}", "token=lit-K1-4711")
    base = sampler(model_server, "references")
    config = written(
        tmp_path, model_server,
        sampler=[{"model": "one", "base_url": base["base_url"], **VARIABLES}, {**sampler(model_server, "literals")}],
        verifier=[judge, {"type": "v.py:Telling", **OF_A_PLUGIN}],
    )  # fmt: skip
    echoing(model_server)
    work_dir = tmp_path / "w"
    printed = rsr("run", config, "-w", work_dir)
    assert printed.exit_code == 0, printed.stderr
    asked = [served for served in model_server.log if served.body["model"] == "judge"]
    assert asked[0].body["user"] == "env-D1-4711/+" and asked[0].headers["x-judge"] == "env-D3-4711/+"
    assert_none_in(work_dir, printed, rsr("show", work_dir, "--full"))


@pytest.mark.usefixtures("variables")
def test_files_of_batches_hold_no_secret_and_the_server_gets_them(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer
) -> None:
    given = {"type": "openai-batch", "poll_interval": 0.05, **VARIABLES}
    config = written(tmp_path, model_server, sampler=given)
    printed = drawn(rsr, config, tmp_path / "w")
    assert {served.body["user"] for served in model_server.log} == {"env-A1-4711/+"}
    assert model_server.log[0].body["metadata"]["deep"] == [{"list": ["x", "env-A3-4711/+"]}]
    assert_none_in(tmp_path / "w", printed)
    assert '"user":"${A1}"' in (tmp_path / "w/batches/requests-0001.jsonl").read_text().replace(": ", ":")


@pytest.mark.usefixtures("variables")
def test_another_secret_voids_nothing_and_one_that_is_not_there_is_named(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v.py").write_text(PLUGIN)
    model_server.scenario.reply = judged
    verifier = [{"type": "llm-judge", "model": "judge", "base_url": model_server.base_url, **OF_A_JUDGE}]
    verifier.append({"type": "v.py:Telling", **OF_A_PLUGIN})
    config = written(tmp_path, model_server, sampler=sampler(model_server, "references"), verifier=verifier)
    work_dir = tmp_path / "w"
    assert rsr("run", config, "-w", work_dir).exit_code == 0
    served = len(model_server.log)
    for text in secrets():
        name = "NUMBER_1" if text.isdecimal() else text.split("-")[1]
        monkeypatch.setenv(name, text[::-1].strip("+/"))
    again = rsr("resume", work_dir)
    assert again.exit_code == 0 and "everything is up to date" in again.stdout, again.stderr
    assert len(model_server.log) == served and not state(work_dir)["changes"]
    grown = "sampling.max_rollouts=4"
    stopped = rsr("run", "-w", work_dir, grown)
    assert stopped.exit_code == 2
    assert "sampler.extra_params.session: the environment variable NOT_SET is not set" in stopped.stderr
    for name in ("NOT_SET", "RSR_SECRET_LOGIN_PASSWORD", "RSR_SECRET_USER_TOKEN", "RSR_URL_USER"):
        monkeypatch.setenv(name, "env-L1-4711")
    assert rsr("run", "-w", work_dir, grown).exit_code == 0
    assert {served.body["session"] for served in model_server.log[served:] if "session" in served.body} == {
        "env-L1-4711"
    }
    monkeypatch.delenv("A1")
    stopped = rsr("resume", work_dir)
    assert stopped.exit_code == 2 and "the environment variable A1 is not set" in stopped.stderr


@pytest.mark.usefixtures("variables")
def test_what_was_written_out_in_a_url_is_asked_for_by_a_variable(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = written(
        tmp_path, model_server, sampler={"base_url": url(model_server, "dan:p%40ss-4711", "key=lit-I2-4711")}
    )
    work_dir = tmp_path / "w"
    drawn(rsr, config, work_dir)
    assert rsr("sample", "-w", work_dir).exit_code == 0, "where no server is asked none is needed"
    grown = "sampling.max_rollouts=4"
    stopped = rsr("sample", "-w", work_dir, grown)
    assert stopped.exit_code == 2 and "sampler.base_url.0: the environment variable RSR_URL_" in stopped.stderr
    for name, text in (("USER", "dan"), ("PASSWORD", quote("p@ss-4711")), ("KEY", "lit-I2-4711")):
        monkeypatch.setenv(f"RSR_URL_{name}", text)
    assert rsr("sample", "-w", work_dir, grown).exit_code == 0
    assert model_server.log[-1].query == "key=lit-I2-4711" == model_server.log[0].query
    assert model_server.log[-1].authorization == model_server.log[0].authorization is not None
    assert_none_in(work_dir)


def test_a_work_dir_whose_parameters_were_saved_by_value_goes_on(
    tmp_path: Path, rsr: Rsr, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first versions did."""
    monkeypatch.setenv("WHO", "somebody-1")
    config = written(tmp_path, model_server, sampler={"extra_params": {"user": "${WHO}"}})
    work_dir = tmp_path / "w"
    drawn(rsr, config, work_dir)
    kept = state(work_dir)
    assert kept["sampled_with"]["params"]["extra_params"] == {"user": "${WHO}"}
    kept["sampled_with"]["params"]["extra_params"] = {"user": "somebody-1"}
    (work_dir / "state.json").write_text(json.dumps(kept))
    grown = "sampling.max_rollouts=4"
    assert rsr("sample", "-w", work_dir, grown).exit_code == 0
    assert state(work_dir)["sampled_with"]["params"]["extra_params"] == {"user": "${WHO}"}


@pytest.mark.usefixtures("variables")
def test_a_second_verifier_has_secrets_too(tmp_path: Path, rsr: Rsr, model_server: ModelServer) -> None:
    model_server.scenario.reply = judged
    judge = {"type": "llm-judge", "model": "judge", "base_url": model_server.base_url}
    config = written(tmp_path, model_server, verifier=judge | {"api_key": "${D4}"})
    work_dir = tmp_path / "w"
    drawn(rsr, config, work_dir)
    second = judge | {
        "api_key": "lit-M1-4711",
        "base_url": url(model_server, "me:lit-M2-4711", "key=${D1}"),
        "max_tokens": 9,
    }
    printed = rsr("verify", "-w", work_dir, "--against", json.dumps(second))
    assert printed.exit_code == 0, printed.stderr
    assert model_server.log[-1].authorization == "Bearer lit-M1-4711"
    assert_none_in(work_dir, printed)
    unset = rsr("verify", "-w", work_dir, "--against", "{type: llm-judge, model: m, api_key: '${NOT_SET}'}")
    assert unset.exit_code == 2 and "--against: api_key: the environment variable NOT_SET is not set" in unset.stderr
