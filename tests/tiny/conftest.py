import os
from collections.abc import Callable, Iterator

import pytest

# Read when numpy is first imported. On a busy machine, BLAS threads that wait for each other take many times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rsr_cli.tiny.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine() as running:
        yield running


@pytest.fixture(scope="session")
def ask(engine: Engine) -> Callable[[str], list[int]]:
    """The prompt's token ids for a question."""
    return lambda question: engine.tokenizer.encode_chat([{"role": "user", "content": question}])
