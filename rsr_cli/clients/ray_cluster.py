"""The Ray cluster at RAY_ADDRESS, or without it one that starts on this machine and ends with this process."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

from rsr_cli.errors import BackendError


def connect(user: str, cpus: int = 1) -> Any:
    """The ray module, initialised. A cluster that starts here counts at least `cpus` cores.

    Raises BackendError, which names the `user` of Ray.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise BackendError(f"{user} needs Ray", "pip install 'rsr-cli[ray]'") from None
    if ray.is_initialized():
        return ray
    quiet: dict[str, Any] = {"log_to_driver": bool(os.environ.get("RSR_DEBUG")), "logging_level": logging.ERROR}
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            cores = max(cpus, os.cpu_count() or 1)
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
    except Exception as error:
        raise BackendError(f"{user}: Ray can't be reached or started: {first_line(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)  # Ray puts a handler of its own in its place
    return ray


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
