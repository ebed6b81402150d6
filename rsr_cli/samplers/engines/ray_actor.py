"""Engines in Ray actors: Ray places each on GPUs of its own and ends it with the driver."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from rsr_cli.clients.ray_cluster import connect, first_line
from rsr_cli.errors import BackendError
from rsr_cli.samplers.engines.messages import Drawn, DrawRequest, EngineFailed, EngineGone, EngineSpec, Facts, Refused

_USER = "vllm-offline with several engines"
_DRAWS_AT_ONCE = 100_000
"""Calls that an actor takes at the same time; the pool is what bounds them."""


class RayEngines:
    """Starts engines in the cluster at RAY_ADDRESS, else in one that is started here and ends with this process."""

    def __init__(self, count: int, gpus_of_one: int) -> None:
        """Raises BackendError where Ray is missing or has too few GPUs. Without any GPU each engine has a core."""
        ray = connect(_USER, count)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if 0 < gpus < count * gpus_of_one:
            raise BackendError(f"vllm-offline: {count * gpus_of_one} GPUs are wanted, and the Ray cluster has {gpus}")
        self._resources = {"num_gpus": gpus_of_one, "num_cpus": 1} if gpus else {"num_cpus": 1}

    async def start(self, spec: EngineSpec) -> RayEngine:
        """Raises EngineFailed."""
        import ray

        # Restarted by the pool, which asks again for what it drew, and not by Ray.
        actor = (
            ray.remote(EngineActor)
            .options(
                **self._resources,
                max_restarts=0,
                max_concurrency=_DRAWS_AT_ONCE,
                runtime_env={"env_vars": spec.environment},
            )
            .remote()
        )
        try:
            facts = await actor.start.remote(spec)
        except BaseException as error:
            ray.kill(actor)
            if isinstance(error, ray.exceptions.RayError):
                raise EngineFailed(f"its Ray actor failed: {error}") from error
            raise
        if isinstance(facts, str):
            ray.kill(actor)
            raise EngineFailed(facts)
        return RayEngine(actor, facts)


class RayEngine:
    """An Engine: the driver's handle on an actor."""

    def __init__(self, actor: Any, facts: Facts) -> None:
        self._actor = actor
        self.facts = facts

    async def draw(self, draw: DrawRequest) -> Drawn | Refused:
        import ray

        call = self._actor.draw.remote(draw)
        try:
            answer: Drawn | Refused | EngineGone = await call
        except asyncio.CancelledError:
            ray.cancel(call)
            raise
        except ray.exceptions.RayError as error:
            raise EngineGone(first_line(error)) from error
        if isinstance(answer, EngineGone):
            raise answer
        return answer

    async def steps(self) -> int:
        import ray

        try:
            steps: int = await self._actor.steps.remote()
        except ray.exceptions.RayError as error:
            raise EngineGone(first_line(error)) from error
        return steps

    def kill(self) -> None:
        import ray

        ray.kill(self._actor)


class EngineActor:
    """What runs in the actor's process. Failures are returned, since Ray wraps what is raised."""

    async def start(self, spec: EngineSpec) -> Facts | str:
        from rsr_cli.samplers.engines.vllm_engine import VllmEngine

        for name in [name for name in os.environ if name.startswith("VLLM_DP_")]:
            del os.environ[name]  # a job's own; each engine here is whole by itself
        try:
            self._engine = VllmEngine(spec)
        except EngineFailed as failure:
            return str(failure)
        return self._engine.facts

    async def draw(self, draw: DrawRequest) -> Drawn | Refused | EngineGone:
        try:
            return await self._engine.draw(draw)
        except EngineGone as gone:
            return gone

    async def steps(self) -> int:
        return await self._engine.steps()


async def cluster_gpus() -> int:
    """Raises BackendError."""
    return int(connect(_USER).cluster_resources().get("GPU", 0))
