"""Shards in processes: the order is that of the shards, and what goes wrong in one is said."""

from __future__ import annotations

import os
import time

import pytest

from rsr_cli.errors import PluginError, RsrError
from rsr_cli.executors.local import WORTH_PROCESSES, over_shards
from rsr_cli.executors.process_pool import cores

several_cores = pytest.mark.skipif(cores() < 2, reason="on one core all is done in one process")


def slower_at_first(shard: int) -> tuple[int, int]:
    time.sleep(0.3 if shard == 0 else 0.0)
    return shard, os.getpid()


def fails_at_one(shard: int) -> int:
    if shard == 1:
        raise PluginError("the formatter f raised on the prompt 'p'", "mend it")
    return shard


def dies(shard: int) -> int:
    os._exit(1)


@several_cores
def test_the_results_come_in_the_order_of_the_shards() -> None:
    found = list(over_shards(slower_at_first, range(6), WORTH_PROCESSES))
    assert [shard for shard, _ in found] == list(range(6))
    assert os.getpid() not in {pid for _, pid in found}


def test_little_work_stays_in_this_process() -> None:
    assert {pid for _, pid in over_shards(slower_at_first, range(1, 4), 100)} == {os.getpid()}


def test_an_error_is_raised_as_it_was() -> None:
    results = over_shards(fails_at_one, range(4), WORTH_PROCESSES)
    assert next(results) == 0
    with pytest.raises(PluginError, match="on the prompt 'p'\n  mend it"):
        next(results)


@several_cores
def test_a_process_that_dies_is_said() -> None:
    with pytest.raises(RsrError, match="ended without a word"):
        list(over_shards(dies, range(4), WORTH_PROCESSES))
