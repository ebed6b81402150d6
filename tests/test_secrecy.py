"""What counts as a secret, and what texts are like without."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr_cli import secrecy
from rsr_cli.config.load import load_config
from rsr_cli.config.references import saved_url
from rsr_cli.secrecy import HIDDEN, Referenced, ReferencedNumber, names_secret, redact, without_secrets

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=4, max_size=40).filter(
    lambda text: secrecy.may_be_secret(text) and text == text.strip()
)


@given(SECRETS)
def test_a_secret_is_taken_out_in_every_form(secret: str) -> None:
    secrecy.forget()
    secrecy.keep([secret])
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert redact(f"<{form}>") == f"<{HIDDEN}>"


def test_user_info_is_taken_out_as_a_header_has_it() -> None:
    secrecy.keep(secrecy.of_settings({"base_url": ["http://me:p%40ss-word@host/v1"]}))
    sent = base64.b64encode(b"me:p@ss-word").decode()
    assert redact(f"Authorization: Basic {sent}, p@ss-word") == f"Authorization: Basic {HIDDEN}, {HIDDEN}"


@pytest.mark.parametrize("value", ["", "a", "ab", "123", "20", "0.95", "true", "none", "EMPTY", "12345", "/tmp"])
def test_what_can_be_no_secret_is_left_in_texts(value: str) -> None:
    secrecy.keep([value])
    text = f"a text with {value} in it, and {value} again: 1, 20, true"
    assert redact(text) == text


def test_a_short_one_is_taken_out_as_a_word_only() -> None:
    secrecy.keep(["root1"])
    assert redact("root1: /home/root1/x, root12, key=root1, 'root1'.") == (
        f"{HIDDEN}: /home/root1/x, root12, key={HIDDEN}, '{HIDDEN}'."
    )


@pytest.mark.parametrize(
    ("text", "saved"),
    [
        ("http://h/v1", "http://h/v1"),
        ("http://u:p@h/v1", "http://${RSR_URL_USER:?}:${RSR_URL_PASSWORD:?}@h/v1"),
        ("http://${U}:${P}@h/v1?api-version=1", "http://${U}:${P}@h/v1?api-version=1"),
        ("https://tok@h/v1?sig=x%2Fy&a=b", "https://${RSR_URL_USER:?}@h/v1?sig=${RSR_URL_SIG:?}&a=b"),
        (
            "https://h/v1?X-Amz-Signature=1&key=${K}",
            "https://h/v1?X-Amz-Signature=${RSR_URL_X_AMZ_SIGNATURE:?}&key=${K}",
        ),
        ("see me@h and a?key=b", "see me@h and a?key=b"),
    ],
)
def test_urls_are_saved_with_references(text: str, saved: str) -> None:
    assert saved_url(text) == saved


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "X-Api-Key", "user_token", "accessToken", "db.password", "SECRET"]
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", ["max_tokens", "key", "tokenizer", "top_k", "keyword", "batch_tokens", "secretary"])
def test_other_names(name: str) -> None:
    assert not names_secret(name)


def test_references_are_sent_as_what_they_stand_for_and_shown_as_they_are_written() -> None:
    values = {"user": Referenced("me-1", "${ME}"), "list": [ReferencedNumber("1234567", "${N}")], "my_token": "x"}
    assert orjson.loads(orjson.dumps(values)) == {"user": "me-1", "list": [1234567], "my_token": "x"}
    assert without_secrets(pickle.loads(pickle.dumps(values))) == {"user": "${ME}", "list": ["${N}"], "my_token": "***"}


def loaded(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(f"data: {{input_path: '${{DATA_DIR}}/a.jsonl'}}\n{text}", encoding="utf-8")
    return load_config(path).to_yaml()


def test_what_decides_on_answers_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MODEL", "my-model-7b")
    monkeypatch.setenv("HOST", "node-17.cluster")
    loaded(
        tmp_path, "sampler: {model: '${MODEL}', base_url: 'http://${HOST}:8000/v1', extra_params: {user: '${MODEL}'}}\n"
    )
    text = f"{tmp_path}/a.jsonl my-model-7b http://node-17.cluster:8000/v1"
    assert redact(text) == text


def test_what_the_environment_names_a_secret_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SOME_API_KEY", "of-the-environment-1")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:proxy-word-1@proxy:3128")
    loaded(tmp_path, "")
    assert redact("got of-the-environment-1 by proxy-word-1") == f"got {HIDDEN} by {HIDDEN}"


@pytest.mark.parametrize(
    ("key", "written", "saved"),
    [
        ("extra_params: {user: %s}", "${NOT_SET:-some-1-literal}", "user: ${NOT_SET:?}"),
        ("extra_params: {reasoning_effort: %s}", "${NOT_SET:-medium}", "reasoning_effort: ${NOT_SET:-medium}"),
        ("extra_params: {top_k: %s}", "${NOT_SET:-20}", "top_k: ${NOT_SET:-20}"),
        ("api_key: %s", "${NOT_SET:-sk-literal}", "api_key: ${NOT_SET:?}"),
        ("api_key: %s", "${NOT_SET:-EMPTY}", "api_key: ${NOT_SET:-EMPTY}"),
        ("model: %s", "${NOT_SET:-some-model-1}", "model: ${NOT_SET:-some-model-1}"),
        ("base_url: %s", "${NOT_SET:-http://u:p@h/v1}", "${NOT_SET:?}"),
        ("base_url: %s", "${NOT_SET:-http://h/v1}", "${NOT_SET:-http://h/v1}"),
        ("headers: {X: %s}", "${NOT_SET:-gateway}", "X: ${NOT_SET:?}"),
        ("headers: {X: %s}", "$${literal-1}", "X: ${RSR_HEADER_X:-}"),
        ("headers: {X: %s}", "Bearer ${DATA_DIR}", "X: Bearer ${DATA_DIR}"),
        ("headers: {X: %s}", "Basic c2VjcmV0LTE${DATA_DIR}", "X: ${RSR_HEADER_X:-}"),
        ("extra_params: {my_token: %s}", "literal-1${DATA_DIR}", "my_token: ${RSR_SECRET_MY_TOKEN:?}"),
        ("extra_params: {stop: %s}", "$${x", "stop: $${x"),
    ],
)
def test_defaults_that_may_be_secrets_are_not_saved(
    key: str, written: str, saved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("NOT_SET", raising=False)
    assert saved in loaded(tmp_path, f"sampler: {{{key % json.dumps(written)}}}\n").replace("'", "")
