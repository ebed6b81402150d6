"""The suite's OpenAI-compatible server: scripted answers, latency, slots, and the faults that servers are known for.

with ModelServer(Scenario(latency=lambda ask: 0.01)) as server:
    server.base_url, server.log
"""

from tests.server.faults import FAULTS, random_faults, scripted_faults
from tests.server.running import ModelServer, model_server_process
from tests.server.scenario import Ask, Reply, Scenario, arithmetic_prompt, arithmetic_reply, written_out

__all__ = [
    "FAULTS",
    "Ask",
    "ModelServer",
    "Reply",
    "Scenario",
    "arithmetic_prompt",
    "arithmetic_reply",
    "model_server_process",
    "random_faults",
    "scripted_faults",
    "written_out",
]
