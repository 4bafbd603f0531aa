"""Stand-ins for what verl imports and one process never calls, where it is not installed: Ray and its kin.

verl's modules import Ray at their top, for decorators and annotations. Its wheel alone is larger than a bundle may be.
Each name of a stand-in is a class that can be named, inherited from and subscripted, and raises when it is called.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any

PACKAGES = ("ray", "transfer_queue", "zmq")


class _Meta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stand_in(f"{cls.__module__}.{cls.__name__}", name)

    def __or__(cls, other: Any) -> Any:  # in annotations
        return cls

    __ror__ = __or__


def _stand_in(module: str, name: str) -> type:
    def __init__(self: Any, *_: Any, **__: Any) -> None:
        raise RuntimeError(f"{module}.{name} is a stand-in: the package is not installed here")

    return _Meta(name, (), {"__module__": module, "__init__": __init__, "__class_getitem__": lambda cls, item: cls})


class _Module(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stand_in(self.__name__, name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        known = name.partition(".")[0] in PACKAGES
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def stand_in() -> None:
    """Behind all other finders, so for packages only that nobody else finds."""
    sys.meta_path.append(_Finder())
