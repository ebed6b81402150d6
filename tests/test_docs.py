"""The docs keep up with the code: every command, key and plugin is told of, every shipped config is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsr_cli.cli.app import app
from rsr_cli.config.load import load_config
from rsr_cli.config.settings import Config
from rsr_cli.plan import resolve
from rsr_cli.plugins import registry

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "recipes").rglob("*.md"))]
CONFIGS = sorted((ROOT / "recipes").rglob("config.yaml"))


def keys(schema: dict[str, Any], node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a JSON Schema."""
    for name, value in node.get("properties", {}).items():
        inner = [value, *value.get("anyOf", []), *value.get("allOf", [])]
        references = [item["$ref"].rpartition("/")[2] for item in inner if "$ref" in item]
        if not references:
            yield f"{prefix}{name}"
        for reference in references:
            yield from keys(schema, schema["$defs"][reference], f"{prefix}{name}.")


def test_every_config_key_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    schema = Config.model_json_schema()
    assert [key for key in keys(schema, schema) if f"`{key}`" not in text] == []


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = [command.name or "" for command in app.registered_commands]
    assert len(names) >= 14
    assert [name for name in names if f"rsr {name}" not in text] == []


@pytest.mark.parametrize("kind", ["verifier", "formatter", "sampler", "filter"])
def test_every_plugin_is_documented(kind: registry.Kind) -> None:
    page = {"verifier": "verifiers", "formatter": "formatters", "sampler": "sampling", "filter": "filters"}[kind]
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    assert [name for name in registry.names(kind) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md" and page.name not in index
    ] == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_every_recipe_config_is_right(path: Path) -> None:
    loaded = load_config(path, ["data.input_path=given.jsonl"])
    resolve(loaded.config)


def test_the_schema_says_what_keys_mean() -> None:
    text = json.dumps(Config.model_json_schema())
    assert "The most valid rollouts of a prompt." in text
