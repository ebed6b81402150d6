"""How many GPUs there are."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

_DEVICES = ("nvidia[0-9]*", "dxg", "kfd")
"""What stands in /dev where there may be a GPU: NVIDIA's, a Windows host's, AMD's."""
_COUNT = "import torch; print(torch.cuda.device_count())"


async def count_gpus() -> int:
    """Those of the Ray cluster where RAY_ADDRESS names one, else those of this machine that may be used.

    Asked in a process of its own: torch, once loaded, would hold memory here, and on the GPU.
    """
    if "RAY_ADDRESS" in os.environ:
        from rsr_cli.samplers.engines.ray_actor import cluster_gpus

        return await cluster_gpus()
    if sys.platform == "linux" and not _has_device():
        return 0
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COUNT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return int(output.split()[-1]) if process.returncode == 0 and output.split() else 0


def _has_device() -> bool:
    return any(any(Path("/dev").glob(device)) for device in _DEVICES)
