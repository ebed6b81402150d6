"""A plugin of vLLM's (`vllm.general_plugins`): no process of an engine outlives the one that made it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

WANTED = "RSR_ENGINE"
"""Set in the environment of the engines that rsr starts; in others the plugin does nothing."""


def die_with_parent() -> None:
    """vLLM calls this at the start of each of its processes."""
    parent = multiprocessing.parent_process()
    if parent is None or os.environ.get(WANTED) is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    if not any(thread.name == WANTED for thread in threading.enumerate()):
        threading.Thread(target=watch, name=WANTED, daemon=True).start()
