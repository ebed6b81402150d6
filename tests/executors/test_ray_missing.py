"""Ray is an extra: without it, one message says how to get it."""

from __future__ import annotations

import importlib.util

import pytest

from rsr_cli.errors import BackendError
from rsr_cli.executors.ray_shards import over_shards


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_what_is_missing_is_said() -> None:
    with pytest.raises(BackendError, match=r"--executor ray needs Ray\n  pip install 'rsr-cli\[ray\]'"):
        list(over_shards(str, [0]))
