"""Configs: typed values, references to the environment, overrides, and errors that say where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rsr_cli.config.load import changed_keys, load_config
from rsr_cli.config.scalars import Plain, dump_yaml, load_yaml, resolve_plain
from rsr_cli.config.settings import header_texts
from rsr_cli.errors import ConfigError
from rsr_cli.secrecy import without_secrets

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | texts
    | st.sampled_from(
        ["1e-5", "on", "off", "yes", "null", "~", "007", "0x1F", "1_000", ".5", "1:30", "2020-01-01", "=", "<<"]
    )
)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(trees)
def test_what_is_dumped_is_read_back(tree: Any) -> None:
    assert resolve_plain(load_yaml(dump_yaml(tree))) == tree


@given(st.dictionaries(texts, trees, max_size=4))
def test_extra_params_survive_the_work_dir(params: dict[str, Any]) -> None:
    from tempfile import TemporaryDirectory

    assume(without_secrets(params) == params and "${" not in str(params))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        path.write_text(dump_yaml({"data": {"input_path": "x"}, "sampler": {"extra_params": params}}), encoding="utf-8")
        first = load_config(path)
        path.write_text(first.to_yaml(), encoding="utf-8")
        second = load_config(path)
        assert first.config.sampler.extra_params == params
        assert second.document == first.document
        assert second.config.sampler.extra_params == params


def load(tmp_path: Path, text: str, *overrides: str) -> Any:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


HEAD = "data: {input_path: in.jsonl}\n"


def test_the_type_of_a_key_settles_yaml_1_1(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        HEAD
        + "sampler: {model: 007, temperature: 1e-1, extra_params: {a: 1e-5, b: on, c: '5', d: true, e: null}}\n"
        + "sampling: {early_stop: off, max_rollouts: 0016}\n",
    ).config
    assert config.sampler.model == "007"
    assert config.sampler.temperature == 0.1
    assert config.sampler.extra_params == {"a": 1e-5, "b": "on", "c": "5", "d": True, "e": None}
    assert config.sampling.early_stop is False
    assert config.sampling.max_rollouts == 16


def test_the_seeds_own_config_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
data: {input_path: in.jsonl, preprocess: {transform: null}}
work_dir: null
sampling: {max_rollouts: 16, step_size: 4, max_steps: 8, early_stop: true}
sampler: {type: openai-compatible-api, model: DeepSeek-R1, base_url: null, model_path: null, temperature: 0.7,
          max_tokens: 2048, top_p: 1.0, concurrent_requests: 50, timeout: 300, drop_truncated: true}
verifier: {type: math-rlvr, score_type: float}
formatter: [{type: sft, pass_threshold: 1.0, fail_threshold: 0.0}]
shard: {size: 10000}
""",
    ).config
    assert config == load(tmp_path, HEAD).config.model_copy(update={"formatter": config.formatter})


def test_references_are_resolved_and_saved_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSR_TEST_MODEL", "m-1")
    monkeypatch.setenv("RSR_TEST_KEY", "sk-secret")
    monkeypatch.delenv("RSR_TEST_STEPS", raising=False)
    text = (
        HEAD
        + "sampler: {model: '${RSR_TEST_MODEL}', api_key: '${RSR_TEST_KEY}', max_tokens: '${RSR_TEST_STEPS:-64}'}\n"
        + "verifier: {type: mine.py:X, api_key: literal-secret, token: '${RSR_TEST_KEY}'}\n"
    )
    loaded = load(tmp_path, text)
    assert loaded.config.sampler.model == "m-1"
    assert loaded.config.sampler.api_key.get_secret_value() == "sk-secret"
    assert loaded.config.sampler.max_tokens == 64
    saved = loaded.to_yaml()
    assert "secret" not in saved
    assert "${RSR_TEST_MODEL}" in saved and "${RSR_TEST_STEPS:-64}" in saved
    assert "secret" not in repr(loaded.config.sampler)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSR_TEST_NONE", raising=False)
    with pytest.raises(ConfigError, match=r"c\.yaml:2: sampler\.model: the environment variable RSR_TEST_NONE"):
        load(tmp_path, HEAD + "sampler: {model: '${RSR_TEST_NONE}'}\n")


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("", "data.input_path is required"),
        ("data:\n  input_path: ???\n", "data.input_path is required"),
        (HEAD + "sampler: {top_p: 1.5}\n", "sampler.top_p"),
        (HEAD + "sampling: {max_rollouts: 0}\n", "sampling.max_rollouts"),
        (HEAD + "sampling: {max_rollouts: 1.5}\n", "sampling.max_rollouts"),
        (HEAD + "formatter: [{type: sft, name: a}, {type: dpo, name: a}]\n", "the name 'a' is given twice"),
        (HEAD + "formatter: [{type: sft, name: ../up}]\n", "formatter.0.name"),
        (HEAD + "data: {}\n", "'data' is given twice"),
        ("data: [\n", "not valid YAML"),
        ("- a\n", "a config is a mapping"),
        (HEAD + "x: !!python/object/apply:os.system [ls]\n", "YAML"),
        ("data: {input_path: [{path: a, count: 1, fraction: 0.5}]}\n", "a count or a fraction, not both"),
    ],
)
def test_what_is_wrong_is_said(text: str, saying: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert saying in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSR_TEST_NONE", raising=False)
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            "data:\n  input_path: ???\nsampler: {model: '${RSR_TEST_NONE}', top_p: 2, max_tokens: '${RSR_TEST_NONE}'}\n"
            "smapling: {}\n",
        )
    lines = str(caught.value).splitlines()
    keys = ["sampler.model", "sampler.max_tokens", "data.input_path", "sampler.top_p", "smapling"]
    assert [next(key for key in keys if key in line) for line in lines] == keys


def test_overrides_reach_into_lists_and_make_sections(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        HEAD + "formatter: [{type: sft}, {type: dpo}]\nverifier: math-rlvr\n",
        "formatter.1.pass_threshold=0.5",
        "sampler.price.prompt=0.25",
        "verifier.time_limit=3",
        "sampler.base_url=[http://a, http://b]",
        "work_dir=a=b",
    ).config
    assert config.formatter[1].options == {"pass_threshold": 0.5}
    assert config.sampler.price.prompt == 0.25
    assert (config.verifier.type, config.verifier.time_limit) == ("math-rlvr", 3)
    assert config.sampler.base_url == ["http://a", "http://b"]
    assert config.work_dir == "a=b"


@pytest.mark.parametrize("override", ["nothing", "=1", "formatter.7.type=sft", "data.input_path.x.y=1"])
def test_bad_overrides(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, HEAD + "formatter: [{type: sft}]\n", override)


def test_files_are_looked_for_from_here_then_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "here").mkdir()
    for place in ("recipe/t.py", "recipe/in.jsonl", "here/in.jsonl"):
        (tmp_path / place).write_text("")
    monkeypatch.chdir(tmp_path / "here")
    config = load(tmp_path / "recipe", "data: {input_path: in.jsonl, preprocess: {transform: 't.py:f'}}\n").config
    assert config.data.input_path[0].path == str(tmp_path / "here/in.jsonl")
    assert config.data.preprocess.transform == f"{tmp_path}/recipe/t.py:f"


def test_formatter_names() -> None:
    config = load_config(
        None, ["data.input_path=x", "formatter=[sft, sft, {type: top_k, name: sft_3}, sft, 'm.py:Mine']"]
    )
    assert config.config.formatter_names() == ["sft", "sft_2", "sft_3", "sft_4", "Mine"]


def test_changed_keys() -> None:
    old, new = {"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": 2, "c": [1, 2, 3]}}
    assert changed_keys(old, new) == {"a.b": [1, 2], "a.c.2": [None, 3]}


def test_plain_scalars_are_text_until_asked() -> None:
    assert load_yaml("a: 1e-5") == {"a": Plain("1e-5")}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Use $${name} and $${1}", "Use ${name} and ${1}"),
        ("$${A}${GIVEN}$${B:-x}", "${A}here${B:-x}"),
        ("$$${GIVEN}", "$${GIVEN}"),
        ("costs $5, $GIVEN, {x}, $$", "costs $5, $GIVEN, {x}, $$"),
    ],
)
@pytest.mark.parametrize("by_override", [False, True])
def test_a_doubled_dollar_is_a_literal_one_wherever_text_is(
    written: str, read: str, by_override: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", "here")
    places = ["data.preprocess.system_prompt", "sampler.extra_params.stop", "verifier.note"]
    overrides = [f"{place}='{written}'" for place in places] if by_override else []
    text = HEAD if by_override else (
        f"data: {{input_path: in.jsonl, preprocess: {{system_prompt: '{written}'}}}}\n"
        f"sampler: {{extra_params: {{stop: '{written}'}}}}\nverifier: {{type: math-rlvr, note: '{written}'}}\n"
    )  # fmt: skip
    first = load(tmp_path, text, *overrides)
    again = load(tmp_path, first.to_yaml())
    for loaded in (first, again):
        config = loaded.config
        assert config.data.preprocess.system_prompt == read
        assert config.sampler.extra_params["stop"] == read
        assert config.verifier.options["note"] == read
    assert again.document == first.document


@pytest.mark.parametrize(
    "empty",
    ["sampling:", "verifier:", "formatter:", "shard:", "sampler: {price: , extra_params: , members: }", "guards:"],
)
def test_a_section_left_empty_has_its_defaults(empty: str, tmp_path: Path) -> None:
    assert load(tmp_path, f"{HEAD}{empty}\n").config == load(tmp_path, HEAD).config


def test_no_formatter_is_a_choice(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{HEAD}formatter: []\n")
    assert loaded.config.formatter == [] == load(tmp_path, loaded.to_yaml()).config.formatter
    assert load(tmp_path, HEAD, "formatter=[]").config.formatter == []


def test_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of datasets or models links names to blobs without one."""
    (tmp_path / "blob").write_text("def f(item): return item\n")
    (tmp_path / "folder").mkdir()
    for name, target in (("in.jsonl", "blob"), ("t.py", "blob"), ("Model-8B", "folder")):
        (tmp_path / name).symlink_to(target)
    text = "data: {input_path: in.jsonl, preprocess: {transform: 't.py:f'}}\nsampler: {model_path: Model-8B}\n"
    monkeypatch.chdir("/")
    config = load(tmp_path, text).config
    assert config.data.input_path[0].path == str(tmp_path / "in.jsonl")
    assert config.data.preprocess.transform == f"{tmp_path}/t.py:f"
    assert config.sampler.model_path == str(tmp_path / "Model-8B")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_project_may_be_moved_with_its_work_dirs(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, moved = tmp_path / "old", tmp_path / "new"
    (project / "sub/w").mkdir(parents=True)
    (project / "in.jsonl").write_text("")
    (project / "v.py").write_text("")
    outside = tmp_path / "outside.jsonl"
    outside.write_text("")
    (project / "c.yaml").write_text(
        f"data: {{input_path: [in.jsonl, {{path: {outside}}}]}}\nverifier: {{type: 'v.py:V'}}\n"
    )
    monkeypatch.chdir(tmp_path if elsewhere else project)
    text = load_config(project / "c.yaml").to_yaml(project / "sub/w")
    assert str(project) not in text
    (project / "sub/w/config.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    project.rename(moved)
    (tmp_path / "v.py").write_text("a file of the same name where we are is not meant")
    again = load_config(moved / "sub/w/config.yaml", saved=True)
    assert [item.path for item in again.config.data.input_path] == [str(moved / "in.jsonl"), str(outside)]
    assert again.config.verifier.type == f"{moved}/v.py:V"
    assert again.to_yaml(moved / "sub/w").count("../../") == text.count("../../") == 2
    given = load_config(moved / "sub/w/config.yaml", ["verifier.type=v.py:V"], saved=True)
    assert given.config.verifier.type == f"{tmp_path}/v.py:V"
    # The work dir alone is moved: its project may be where we are.
    (moved / "sub/w").rename(tmp_path / "w")
    monkeypatch.chdir(moved)
    alone = load_config(tmp_path / "w/config.yaml", saved=True)
    assert alone.config.verifier.type == f"{moved}/v.py:V"


def test_a_work_dir_outside_the_project_has_full_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text("")
    assert str(tmp_path / "in.jsonl") in load(tmp_path, HEAD).to_yaml(Path("/elsewhere/w"))


def test_the_values_of_headers_are_kept_as_references_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSR_TEST_KEY", "sk-secret-1")
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: {input_path: a.jsonl}\n"
        "sampler: {headers: {api-key: '${RSR_TEST_KEY}', X-Gateway: sk-secret-2, Number: 5}}\n"
        "verifier: {type: llm-judge, model: m, headers: {Authorization: sk-secret-3}}\n",
        encoding="utf-8",
    )
    loaded = load_config(path)
    assert header_texts(loaded.config.sampler.headers) == {
        "api-key": "sk-secret-1", "X-Gateway": "sk-secret-2", "Number": "5"
    }  # fmt: skip
    saved = loaded.to_yaml()
    assert "sk-secret" not in saved + repr(loaded.config.sampler)
    assert "${RSR_TEST_KEY}" in saved and "${RSR_HEADER_X_GATEWAY:-}" in saved
    assert "Authorization: ${RSR_HEADER_AUTHORIZATION:-}" in saved
    path.write_text(saved, encoding="utf-8")
    assert header_texts(load_config(path).config.sampler.headers) == {"api-key": "sk-secret-1"}
    monkeypatch.setenv("RSR_HEADER_X_GATEWAY", "again")
    assert header_texts(load_config(path).config.sampler.headers)["X-Gateway"] == "again"


@pytest.mark.parametrize(
    "header", ["'X Y': secret-1", "Host: secret-1", "content-type: secret-1", 'X: "secret-1\\r\\nY: 1"', "X: secret-1ü"]
)
def test_a_header_that_can_not_be_sent_is_refused_without_its_value(header: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"data: {{input_path: a.jsonl}}\nsampler:\n  headers:\n    {header}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sampler\.headers") as caught:
        load_config(path)
    assert "secret-1" not in str(caught.value)


def test_what_an_unset_variable_may_have_meant_is_said(tmp_path: Path) -> None:
    """A prompt that speaks of a template: `${name}` is taken for a variable."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: {input_path: x.jsonl, preprocess: {system_prompt: 'Greet ${a_name}.'}}\nsampler: {model: m}\n"
    )
    with pytest.raises(ConfigError, match=r"a_name is not set \(a literal \$\{ is written \$\$\{\)"):
        load_config(path)
