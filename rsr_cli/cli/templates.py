"""What a chat template does to training rows, as text or JSON."""

from __future__ import annotations

from rsr_cli.cli.terminal import print_json
from rsr_cli.errors import printable
from rsr_cli.stages.check_template import MOST_ROWS, Checked

_TOLD = {
    "refused": "refused by the template",
    "lost": "lose their thinking",
    "doubled": "have a second block of thinking",
    "emptied": "have an empty block of thinking",
    "end_not_trained": "end without the token that ends the turn, so that a model learns no end",
    "not_prefix": "do not begin with the prompt as it is rendered alone, so that trainers cut in the wrong place",
}


def print_checked(checked: list[Checked], *, as_json: bool) -> None:
    """Print a JSON object for all formatters, or some lines for each."""
    if as_json:
        print_json({item.name: item.as_json() for item in checked})
        return
    for item in checked:
        _print(item)


def _print(item: Checked) -> None:
    only = ", the first of them only" if item.rows == MOST_ROWS else ""
    print(f"{item.name}: {item.rows} rows, {item.conversations} conversations{only}")
    for name, told in _TOLD.items():
        if count := item.counts[name]:
            why = f" ({item.refusal})" if name == "refused" else ""
            print(printable(f"  {count} {told}{why}: rsr show --row {item.name}:{item.first[name]}"))
    if item.is_good:
        print("  nothing is lost")
    if not item.counts["marks"]:
        print("  the template does not mark the assistant's words: assistant_only_loss needs one that does")
    if item.tokens:
        cut = ", ".join(f"{count} over {length}" for length, count in item.over().items())
        print(f"  tokens: {max(item.tokens)} in the longest; rows cut: {cut}")
    else:
        print("  tokens are not counted: pip install tokenizers, and give a folder with tokenizer.json")
