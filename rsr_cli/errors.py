"""Every error that rsr raises on purpose, and the exit code each ends in.

`UsageError` and below: the command line, the config, the input or the work dir is wrong; nothing was written (2).
`BackendError` and below: the server or the engine can't go on; work is kept (1).
`GuardStop`: a guard or a red probe has stopped what would be wasted; work is kept (3).
Plugins (transforms, verifiers, formatters) raise plain Python; the caller wraps it in a `PluginError` that says whose
it was. All of them survive pickling, since they cross process pools.
"""

from __future__ import annotations

import re

CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # direction marks
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line breaks, marks that are not seen
    "\U000e0000-\U000e007f\ud800-\udfff]"  # text hidden in tags, halves of characters
)
"""What acts on a terminal, or hides or reorders text on it."""


def printable(text: str) -> str:
    """`text` with control characters (escape sequences, direction marks) shown as \\x1b and the like."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


class RsrError(Exception):
    """The base: `message` says what is wrong and where, `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(RsrError, ValueError):
    exit_code = 2


class ConfigError(UsageError):
    """A config key, value or override is wrong."""


class InputError(UsageError):
    """An input file or row is missing, unreadable or of the wrong shape."""


class WorkDirError(UsageError):
    """The work dir is of another version, in use, damaged, or not what the command needs."""


class StorageError(RsrError, OSError):
    """The object store of a work dir is out of reach or refuses; what is recorded there is kept."""


class PluginError(UsageError):
    """A user's own transform, verifier or formatter can't be loaded or raised."""


class BackendError(RsrError, RuntimeError):
    """The server or engine can't serve this run at all."""


class AuthError(BackendError):
    """The server refused the key or the account (401, 402, 403, insufficient_quota)."""


class BackendUnavailable(BackendError, ConnectionError):
    """The server is not there, or answers nothing but failures."""


class GuardStop(RsrError, RuntimeError):
    """A guard, or a red probe, stops what is being wasted; what arrived is kept."""

    exit_code = 3


class Interrupted(KeyboardInterrupt):
    """A signal asked rsr to stop; what arrived is kept. The exit code is 128 + the signal's number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain error in nested groups: what a task group wraps has one cause worth telling."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
