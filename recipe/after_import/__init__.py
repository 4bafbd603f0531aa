"""Run a callback right after a module has been imported, without importing it.

`import verl` happens in every process of a run (driver, task runner, agent loops, storage units, servers),
while what CPU support adds to belongs to modules that only some of them load: the engine registry takes seconds
to import. verl offers no hook at that moment, so a finder on `sys.meta_path` watches for the few names asked for.
It costs one dictionary look-up an import and nothing once the names have been seen.
"""

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


class _NotifyingLoader(Loader):
    """The module's own loader, plus the callbacks once its body has run."""

    def __init__(self, loader: Loader, callbacks: list[Callable[[ModuleType], None]]):
        self._loader = loader
        self._callbacks = callbacks

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Undo the wrapping first: code that asks for __loader__ or __spec__.loader shall see the real one.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        for callback in self._callbacks:
            callback(module)


class _Finder(MetaPathFinder):
    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[ModuleType], None]]] = {}

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        callbacks = self.waiting.pop(fullname, None)  # popped: the search below must not find us again
        if callbacks is None:
            return None
        try:
            spec = find_spec(fullname)
        except BaseException:
            self.waiting[fullname] = callbacks
            raise
        if spec is None or spec.loader is None:
            self.waiting[fullname] = callbacks
            return spec
        spec.loader = _NotifyingLoader(spec.loader, callbacks)
        return spec


_finder = _Finder()


def after_import(name: str, callback: Callable[[ModuleType], None]) -> None:
    """Call `callback(module)` once `name` has been imported; at once if it already is."""
    module = sys.modules.get(name)
    # A module whose import is under way is in sys.modules too, half filled.
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        callback(module)
        return
    if module is not None:
        raise ImportError(f"{name} is being imported; register for it before that")
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.waiting.setdefault(name, []).append(callback)
