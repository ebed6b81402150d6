"""What the judges of a verifier cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rsr_cli.config.settings import Price
from rsr_cli.scoring.verifier_tree import VerifierTree
from rsr_cli.verifiers.judging.calls import money
from rsr_cli.verifiers.judging.ledger import read_ledger


def judge_prices(verifier: VerifierTree) -> Callable[[str], Price]:
    """Return the price of a judge by the name of its model. One that is not in the config has the price of the only
    one there is, else none."""
    judges = verifier.llm_judges()
    by_name = {judge.model: judge.price for judge in judges}
    other = judges[0].price if len(judges) == 1 else Price()
    return lambda model: by_name.get(model, other)


def judge_cost(verifier: VerifierTree, cache: Path) -> float:
    """Return what the judges of a work dir were paid in all its runs; `cache` is where they keep their answers."""
    price = judge_prices(verifier)
    return sum(money(spent, price(model)) for model, spent in read_ledger(cache).items())
