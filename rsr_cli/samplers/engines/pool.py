"""Several engines: each draw goes to the least busy one, and dead or hung engines are replaced."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from rsr_cli.errors import BackendError
from rsr_cli.samplers.engines.messages import Drawn, DrawRequest, Engine, EngineFailed, EngineGone, Facts, Refused

log = logging.getLogger(__name__)

_ASKED_AT_MOST = 3
"""A draw in whose course this many engines died is taken for the cause."""
_DEATHS_AT_MOST = 3
"""Engines in one seat that died one after the other without finishing a draw: then the run stops."""
_ERROR = re.compile(r"\w*(Error|Exception): ")
"""An engine's own word on why it died, where others were killed or just ended."""
_RESTART_PAUSES_S = (0.0, 5.0, 20.0)
"""The memory of a killed engine takes a while to come free."""
_IN_FLIGHT_PER_SEQUENCE = 1.5
"""Requests an engine is given for each that it can run at once, so that its queue never runs dry."""
_HINT = "RSR_DEBUG=1 shows all that the engine prints"


@dataclass(eq=False, slots=True)
class _Seat:
    """The place of one engine, and of those that replace it."""

    number: int
    engine: Engine
    busy: int = 0
    alive: bool = True
    deaths: int = 0
    """Since a draw was finished."""
    died_of: str = ""


class EnginePool:
    """Entered as an async context, which starts the engines.

    `start` makes the engine of a seat, numbered from 0. An engine that has draws and makes no step for `patience`
    seconds hangs: it is killed and replaced.
    """

    def __init__(self, start: Callable[[int], Awaitable[Engine]], size: int, patience: float) -> None:
        self._start = start
        self._size = size
        self._patience = patience
        self._seats: list[_Seat] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BackendError | None = None

    async def __aenter__(self) -> EnginePool:
        """Raises BackendError."""
        starts = [asyncio.ensure_future(self._start(number)) for number in range(self._size)]
        try:
            engines = await asyncio.gather(*starts)
        except BaseException as error:
            for start in starts:
                start.cancel()
            for engine in await asyncio.gather(*starts, return_exceptions=True):
                if not isinstance(engine, BaseException):
                    engine.kill()
            if isinstance(error, EngineFailed):
                raise BackendError(f"vllm-offline: the engine can't be started: {error}", _HINT) from error
            raise
        self._seats = [_Seat(number, engine) for number, engine in enumerate(engines)]
        for seat in self._seats:
            self._spawn(self._watch(seat))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for seat in self._seats:
            seat.engine.kill()

    @property
    def facts(self) -> Facts:
        return self._seats[0].engine.facts

    @property
    def room(self) -> int:
        """Draws that all engines together are to have at once."""
        return self._size * self._room_of_one

    @property
    def _room_of_one(self) -> int:
        return int(self.facts.max_num_seqs * _IN_FLIGHT_PER_SEQUENCE) + 1

    async def draw(self, draw: DrawRequest) -> Drawn | Refused:
        """Asks again where an engine dies over it. Raises BackendError where there are no engines any more."""
        for _ in range(_ASKED_AT_MOST):
            seat = await self._take_seat()
            engine = seat.engine
            try:
                drawn = await engine.draw(draw)
            except EngineGone as gone:
                reason = str(gone)
                self._lose(seat, engine, reason)
            else:
                seat.deaths, seat.died_of = 0, ""
                return drawn
            finally:
                if seat.engine is engine:
                    seat.busy -= 1
                await self._notify()
        return Refused(f"{_ASKED_AT_MOST} engines died while this was drawn; the last one: {reason}")

    async def _take_seat(self) -> _Seat:
        """A place on the least busy engine; waits while all have their fill."""
        async with self._changed:
            while True:
                if self._failure:
                    raise self._failure
                free = [seat for seat in self._seats if seat.alive and seat.busy < self._room_of_one]
                if free:
                    seat = min(free, key=lambda seat: seat.busy)
                    seat.busy += 1
                    return seat
                await self._changed.wait()

    async def _notify(self, waiting: int = 1) -> None:
        async with self._changed:
            self._changed.notify(waiting)

    def _lose(self, seat: _Seat, engine: Engine, reason: str) -> None:
        """The first draw that learns of a death has the engine replaced."""
        if seat.engine is not engine or not seat.alive:
            return
        seat.alive = False
        seat.deaths += 1
        if _ERROR.match(reason) and reason == seat.died_of:
            seat.deaths = _DEATHS_AT_MOST  # the next one would die of it too
        seat.died_of = reason
        goes_on = "it is started again" if seat.deaths < _DEATHS_AT_MOST else "no more is started"
        log.warning("vllm-offline: engine %d is gone, %s: %s", seat.number, goes_on, reason)
        self._spawn(self._replace(seat, reason))

    async def _replace(self, seat: _Seat, reason: str) -> None:
        seat.engine.kill()
        for pause in _RESTART_PAUSES_S if seat.deaths < _DEATHS_AT_MOST else ():
            await asyncio.sleep(pause)
            try:
                seat.engine = await self._start(seat.number)
            except EngineFailed as failure:
                reason = str(failure)
                continue
            seat.busy, seat.alive = 0, True
            await self._notify(self._room_of_one)
            return
        self._failure = BackendError(f"vllm-offline: engine {seat.number} keeps dying: {reason}", _HINT)
        async with self._changed:
            self._changed.notify_all()

    async def _watch(self, seat: _Seat) -> None:
        """Lose the engine of a seat when it is dead, or stands still with work in hand."""
        engine, steps, since = seat.engine, -1, time.monotonic()
        while True:
            await asyncio.sleep(self._patience / 10)
            if seat.engine is not engine:
                engine, steps = seat.engine, -1
            try:
                made = await asyncio.wait_for(engine.steps(), self._patience / 10)
            except TimeoutError:
                made = steps  # it does not even answer
            except EngineGone as gone:
                self._lose(seat, engine, str(gone))
                continue
            if made != steps or not seat.busy:
                steps, since = made, time.monotonic()
            elif seat.alive and time.monotonic() - since >= self._patience:
                self._lose(seat, engine, f"it made no step for {self._patience:g} s")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
