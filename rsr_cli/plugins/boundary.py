"""Whose fault it is: an exception that leaves a plug-in names the plug-in."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rsr_cli.errors import PluginError, RsrError
from rsr_cli.types import Postponed


class boundary:
    """A block in which a plug-in of the user is called: what it raises is a PluginError that names it.

    `about` names what it was called for (a prompt, say). An RsrError passes as it is: it was raised on purpose. So does
    what a built-in raises: that is a fault of rsr.
    """

    __slots__ = ("_about", "_kind", "_plugin")

    def __init__(self, kind: str, plugin: Any, about: str = "") -> None:
        self._kind = kind
        self._plugin = plugin
        self._about = about

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, RsrError | Postponed) or not isinstance(error, Exception | SystemExit):
            return
        if is_builtin(self._plugin):
            return
        about = f" on {self._about}" if self._about else ""
        raise PluginError(
            f"the {self._kind} {plugin_name(self._plugin)} raised {type(error).__name__}{about}: {error}"
        ) from error


def plugin_name(plugin: Any) -> str:
    """Return the name of the class that the author wrote."""
    return (plugin if isinstance(plugin, type) else type(plugin)).__name__


def is_builtin(plugin: Any) -> bool:
    """Return whether a plug-in is part of rsr."""
    module = (plugin if isinstance(plugin, type) else type(plugin)).__module__
    return module.partition(".")[0] == __name__.partition(".")[0]
