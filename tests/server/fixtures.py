"""Pytest fixtures: `from tests.server.fixtures import *` in a conftest makes them known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.server.running import ModelServer
from tests.server.scenario import Scenario

__all__ = ["model_server", "model_servers"]


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A server that answers at once; its `scenario` is the test's to change."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def model_servers() -> Iterator[Callable[[Scenario], ModelServer]]:
    """Starts servers, each with the scenario it is given."""
    with ExitStack() as stack:
        yield lambda scenario: stack.enter_context(ModelServer(scenario))
