"""Errors cross process pools, and are the standard ones that their names promise."""

from __future__ import annotations

import inspect
import pickle

import pytest

from rsr_cli import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.RsrError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling(kind: type[errors.RsrError]) -> None:
    again = pickle.loads(pickle.dumps(kind("what and where", "what next")))
    assert type(again) is kind
    assert (again.message, again.hint, again.exit_code) == ("what and where", "what next", kind.exit_code)
    assert str(again) == "what and where\n  what next"


def test_an_interrupt_survives_with_its_exit_code() -> None:
    assert pickle.loads(pickle.dumps(errors.Interrupted(15))).exit_code == 143
