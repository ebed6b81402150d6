"""The loop with scripted parts: what it asks, records and scores, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from rsr_cli.errors import BackendUnavailable
from rsr_cli.sampling.budget import Budget
from rsr_cli.sampling.fold import Rules
from rsr_cli.sampling.loop import Loop
from rsr_cli.sampling.queue import OpenGroup
from rsr_cli.sampling.watcher import Watcher
from rsr_cli.scoring.scorer import owed_numbers
from rsr_cli.types import Attempt, Completion, EndReason, Group, Prompt, Verdict


@dataclass
class World(Watcher):
    """A sampler, scorer, recorder and watcher in one. Prompt `pN` passes at its N-th attempt."""

    slow: str | None = None
    compares: bool = False
    dead_after: int | None = None
    events: list[tuple[object, ...]] = field(default_factory=list)
    ends: dict[str, EndReason] = field(default_factory=dict)
    open: int = 0
    most_open: int = 0
    capacity: int = 100
    together: bool = False
    cancelled: list[tuple[str, int]] = field(default_factory=list)
    delays: dict[tuple[str, int], float] = field(default_factory=dict)

    async def __aenter__(self) -> World:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def sample(self, prompt: Prompt, attempts: Sequence[int]) -> AsyncGenerator[Completion, None]:
        self.events.append(("ask", prompt.id, tuple(attempts)))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for number in attempts:
                await asyncio.sleep(10 if prompt.id == self.slow else self.delays.get((prompt.id, number), 0))
                if self.dead_after is not None and len(self.events) > self.dead_after:
                    raise BackendUnavailable("gone")
                yield Completion(
                    attempt=number,
                    response=f"{prompt.id}:{number}",
                    finish_reason="stop",
                    model="m",
                    prompt_tokens=3,
                    completion_tokens=7,
                )
        except asyncio.CancelledError:
            self.cancelled += [(prompt.id, number) for number in attempts]
            raise
        finally:
            self.open -= 1

    def asked(self, prompt_id: str) -> list[int]:
        return [number for event in self.events if event[:2] == ("ask", prompt_id) for number in event[2]]  # type: ignore[attr-defined]

    def owed(self, group: Group) -> list[int]:
        return owed_numbers(group, self.compares, with_reference=False)

    async def score(self, group: Group, numbers: Iterable[int]) -> dict[int, Verdict]:
        wanted = int(group.prompt.id.removeprefix("p"))
        verdicts = {}
        for number in numbers:
            self.events.append(("score", f"{group.prompt.id}:{number}"))
            await asyncio.sleep(0)
            verdicts[number] = Verdict(float(number >= wanted))
        return verdicts

    def attempt(self, shard: int, attempt: Attempt) -> None:
        self.events.append(("record", f"{attempt.id}:{attempt.attempt}"))

    def verdicts(self, shard: int, group: Group, verdicts: Mapping[int, Verdict], *, compared: bool) -> None:
        assert compared == self.compares
        self.events += [
            ("verdict", f"{group.prompt.id}:{number}", verdict.score) for number, verdict in verdicts.items()
        ]

    def ended(self, opened: OpenGroup, reason: EndReason) -> None:
        self.ends[opened.group.prompt.id] = reason


def has_pass(group: Group) -> bool:
    return any(score >= 1.0 for _, score in group.scored())


async def drive(
    world: World,
    groups: list[Group],
    window: int = 10,
    early: bool = True,
    budget: Budget | None = None,
    step_size: int = 2,
) -> None:
    async def feed() -> AsyncIterator[OpenGroup]:
        for group in groups:
            yield OpenGroup(0, group)

    rules = Rules(8, step_size, 4, has_pass if early else None, whole_steps=early and world.compares)
    scorer = world if early else None
    await Loop(world, scorer, world, rules, watchers=[world], window=window, budget=budget).run(feed())


def group(name: str) -> Group:
    return Group(Prompt(name, [], {}))


async def test_each_group_draws_one_by_one_until_it_is_satisfied() -> None:
    world = World(capacity=1)
    await drive(world, [group("p0"), group("p3"), group("p99")], window=3)
    assert world.asked("p0") == [0]
    assert world.asked("p3") == [0, 1, 2, 3]
    assert world.asked("p99") == list(range(8))
    assert world.ends == {"p0": "early_stop", "p3": "early_stop", "p99": "max_rollouts"}


async def test_failed_groups_rejoin_the_end_of_the_queue() -> None:
    world = World(capacity=1)
    await drive(world, [group("p2"), group("p3"), group("p1")], window=4)
    asked = [event[1] for event in world.events if event[0] == "ask"]
    assert asked[:5] == ["p2", "p3", "p1", "p2", "p3"]


async def test_idle_slots_draw_ahead_no_more_than_a_step_and_a_pass_cancels_the_rest() -> None:
    world = World(capacity=50, delays={("p0", 0): 0.01, ("p0", 1): 10, ("p1", 0): 10, ("p1", 1): 0.01})
    begun = asyncio.create_task(drive(world, [group("p0"), group("p1")]))
    await asyncio.sleep(0.2)
    assert world.asked("p0") == world.asked("p1") == [0, 1]
    assert world.cancelled == [("p0", 1)], "the first attempt of a group is never cancelled"
    assert world.ends == {"p0": "early_stop"}
    assert not begun.done()
    begun.cancel()
    await asyncio.gather(begun, return_exceptions=True)
    assert world.open == 0


async def test_what_comes_before_a_pass_is_waited_for_and_what_comes_behind_is_cancelled() -> None:
    world = World(capacity=50, delays={("p1", 0): 0.1, ("p1", 2): 10, ("p1", 3): 10})
    groups = [group("p1")]
    await drive(world, groups, step_size=4)
    assert world.asked("p1") == [0, 1, 2, 3]
    assert sorted(world.cancelled) == [("p1", 2), ("p1", 3)]
    assert sorted(groups[0].attempts) == [0, 1]


async def test_no_slot_draws_ahead_while_prompts_wait() -> None:
    world = World(capacity=4)
    await drive(world, [group(f"p{n % 3}") for n in range(3000)], window=100)
    asked = sum(event[0] == "ask" for event in world.events)
    assert asked <= 6000 + 8, "1000 prompts each of 1, 2 and 3 attempts less a tail"


async def test_several_attempts_are_one_request_where_all_of_them_are_needed() -> None:
    world = World(together=True)
    await drive(world, [group("p0")], early=False)
    assert [event[2] for event in world.events if event[0] == "ask"] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    world = World(together=True)
    await drive(world, [group("p5")])
    assert {len(event[2]) for event in world.events if event[0] == "ask"} == {1}  # type: ignore[arg-type]


async def test_a_budget_is_kept_and_ends_the_groups_it_leaves() -> None:
    world = World(capacity=5)
    budget = Budget(1000, None, (0.0, 0.0), max_tokens=20)
    await drive(world, [group("p99") for _ in range(60)], budget=budget)
    assert 960 <= budget.spent_tokens <= 1000 and budget.exhausted
    assert world.ends == {"p99": "budget"} or set(world.ends.values()) == {"budget"}


async def test_an_attempt_is_recorded_before_it_is_scored() -> None:
    world = World()
    await drive(world, [group("p1")])
    names = [event[1] for event in world.events if event[0] in ("record", "score", "verdict")]
    assert names.index("p1:0") < [event[:2] for event in world.events].index(("score", "p1:0"))
    assert world.events.index(("record", "p1:0")) < world.events.index(("score", "p1:0"))


async def test_a_slow_prompt_holds_up_no_other() -> None:
    world = World(slow="p50")
    task = asyncio.create_task(drive(world, [group("p50"), *[group(f"p{n}") for n in range(8)]]))
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(world.ends) == 8
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_window_bounds_what_is_open() -> None:
    world = World()
    await drive(world, [group(f"p{n % 7}") for n in range(50)], window=3, early=False)
    assert world.most_open == 3 * 2, "a step of each open group"


async def test_a_dead_backend_ends_the_run_with_its_own_error() -> None:
    world = World(dead_after=4)
    with pytest.raises(BackendUnavailable):
        await drive(world, [group(f"p{n}") for n in range(5, 15)])


async def test_rollouts_without_a_verdict_are_scored_before_anything_is_drawn() -> None:
    world = World()
    begun = group("p0")
    for number in range(2):
        begun.attempts[number] = Attempt(
            id="p0", attempt=number, step=0, step_size=2, response=f"p0:{number}", finish_reason="stop", model="m"
        )
    await drive(world, [begun])
    assert [event[0] for event in world.events] == ["score", "score", "verdict", "verdict"]
    assert world.ends == {"p0": "early_stop"}


async def test_without_early_stop_nothing_is_scored() -> None:
    world = World()
    await drive(world, [group("p0")], early=False)
    assert {event[0] for event in world.events} == {"ask", "record"}
    assert world.ends == {"p0": "max_rollouts"}


async def test_verdicts_that_compare_are_made_anew_with_every_step() -> None:
    world = World(compares=True)
    await drive(world, [group("p3")])
    scored = [event[1] for event in world.events if event[0] == "score"]
    assert scored == ["p3:0", "p3:1", "p3:0", "p3:1", "p3:2", "p3:3"]
