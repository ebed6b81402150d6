"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "recipes").rglob("*.md"))]
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w./]+\.py)\n")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    """As it is written; `console` where a block without a language shows commands behind `$ `."""
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """The file that a Python block is the content of: its first line says so."""
        found = _FILE_NAME.match(self.text)
        return found[1] if found else None

    def commands(self) -> Iterator[str]:
        """The lines of a shell block."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if self.language == "sh" and line and not line.startswith("#"):
                yield line
            elif self.language == "console" and line.startswith("$ "):
                yield line.removeprefix("$ ")


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        body = textwrap.dedent(match[3])
        language = match[2] or ("console" if body.startswith("$ ") else "")
        found.append(Block(page, text.count("\n", 0, match.start()) + 1, language, body))
    return [block for block in found if block.language in languages]


def write_files(page: Path, folder: Path) -> int:
    """Write the Python blocks of a page that name a file to those files; return how many."""
    files = [block for block in blocks(page, "python") if block.file_name]
    for block in files:
        path = folder / str(block.file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    return len(files)
