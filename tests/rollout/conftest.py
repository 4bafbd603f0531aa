"""Coroutines of these tests run in virtual time: no wait is long, and none depends on how busy the machine is."""

import inspect

import pytest

from benchmarks.virtual_time import run_in_virtual_time


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    run_in_virtual_time(pyfuncitem.obj(**arguments))
    return True
