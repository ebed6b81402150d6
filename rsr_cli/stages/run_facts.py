"""What was run, for the report: the settings that matter, when, and how long each stage took."""

from __future__ import annotations

import shlex
from typing import Any

from rsr_cli.config.settings import Component
from rsr_cli.secrecy import without_secrets
from rsr_cli.stages.session import Session
from rsr_cli.store.state import now


def run_facts(session: Session) -> dict[str, Any]:
    """Return what the report names as this run. Secrets are left out."""
    config, state = session.config, session.state
    sampling = config.sampling
    root = shlex.quote(session.work_dir.root.name)
    return {
        "created": state.created,
        "analyzed": now(),
        "again": f"rsr run {root}/config.yaml -w NEW_DIR",
        "input": without_secrets([item.path for item in config.data.input_path]),
        "samplers": [
            {
                "type": backend.type,
                "model": backend.model_path or backend.model,
                "temperature": backend.temperature,
                "top_p": backend.top_p,
                "max_tokens": backend.max_tokens,
                **without_secrets(backend.extra_params),
            }
            for backend in config.sampler.each()
        ],
        "sampling": {
            name: value for name, value in sampling.model_dump(exclude_defaults=True).items() if value is not None
        }
        | {"max_rollouts": sampling.max_rollouts, "early_stop": sampling.early_stop},
        "verifier": _component(config.verifier),
        "filters": {name: _component(item) for name, item in zip(config.filter_names(), config.filters, strict=True)},
        "formatters": {
            name: _component(item) for name, item in zip(config.formatter_names(), config.formatter, strict=True)
        },
        "stages": [
            {"stage": name, "status": record.status, "started": record.started, "seconds": record.seconds}
            for name, record in state.stages.items()
            if record.started and name != "analyze"
        ],
    }


def _component(item: Component) -> Any:
    return without_secrets({"type": item.type, **item.options})
