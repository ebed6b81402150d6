"""Imports go downward only, and siblings on one line never import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import rsr_cli

LAYERS = """
cli
stages
fingerprints
plan
sampling | scoring | analysis
samplers | verifiers | formatters | filters | executors | store
clients | tiny
config | plugins | storage | runtime
types | errors | reply | messages | streams | secrecy | words
"""
PACKAGE = Path(rsr_cli.__file__).parent
LINES = [[name.strip() for name in line.split("|")] for line in LAYERS.strip().splitlines()]
RANKS = {name: -place for place, line in enumerate(LINES) for name in line}


def imports(path: Path) -> set[str]:
    """The parts of rsr_cli that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rsr_cli":
            parts = (node.module or "").split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rsr_cli.")}
    return found & RANKS.keys()


def test_every_part_has_a_layer() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} == RANKS.keys()


def test_imports_go_downward() -> None:
    upward = []
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in RANKS:
            for name in imports(path) - {own}:
                if RANKS[name] >= RANKS[own]:
                    upward.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not upward
