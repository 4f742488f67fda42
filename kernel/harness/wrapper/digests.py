"""Wraps the functions that the profile names, and writes down digests of what they are given."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from .frozen import Frozen, NotFrozenError
from .tensors import described
from .tensors import named as outputs_of

_MOST_OUTPUTS = 200_000  # of one process, some 40 MB of lines
_MOST_PROBLEMS = 20

Function = Callable[..., Any]


class DigestWriter:
    """What one process does: `asked` is the content of the environment variable.

    Keys: `file`, `function`, `argument`, `name`, `inputs`, `inputs_argument`, `save`, `feed`, `most_bytes`.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.watched: dict[str, list[tuple[str, str]]] = {}  # module → (key of `asked`, path in the module)
        for key in ("function", "inputs"):
            module, _, path = asked[key].partition(":")
            if path:
                self.watched.setdefault(module, []).append((key, path))
        mark = Path(asked["file"] + ".frozen-by")
        self._frozen = Frozen(asked["save"], asked["feed"], asked["most_bytes"], mark)
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._calls = self._outputs = self._problems = 0
        self._wrapped: set[str] = set()

    def install(self, module: ModuleType) -> None:
        """Wrap the watched functions of `module`, which has just been executed."""
        for key, path in self.watched[module.__name__]:
            self._wrapped.add(key)
            try:
                self._wrap(module, key, path)
            except Exception as error:  # noqa: BLE001  # the program must not see it
                self.problem(f"{self.asked[key]} cannot be wrapped: {error}")

    def problem(self, message: str) -> None:
        """Write down what went wrong here. Where even that fails there are no digests, which the farm sees."""
        self._problems += 1
        if self._problems <= _MOST_PROBLEMS:
            try:
                self._write([{"problem": message[:500]}])
            except OSError:
                self._problems = _MOST_PROBLEMS

    def at_exit(self) -> None:
        """Say which function was there and is not wrapped, and whether all frozen inputs were taken."""
        for module, functions in self.watched.items():
            for key, _ in functions:
                if module in sys.modules and key not in self._wrapped:
                    self.problem(f"{self.asked[key]} was loaded by an importer of the program's own")
        if rest := self._frozen.rest():
            self.problem(f"the inputs of {self.asked['inputs']} are not frozen: {rest}")

    def _wrap(self, module: ModuleType, key: str, path: str) -> None:
        *parts, last = path.split(".")
        owner = functools.reduce(getattr, parts, module)
        found = inspect.getattr_static(owner, last)
        kind = type(found) if isinstance(found, (staticmethod, classmethod)) else None
        function = found.__func__ if kind else found
        argument = self.asked["argument" if key == "function" else "inputs_argument"]
        signature = inspect.signature(function)
        for needed in (argument, self.asked["name"] if key == "function" else ""):
            if needed and needed not in signature.parameters:
                raise TypeError(f"it has no argument '{needed}'; it has: {', '.join(signature.parameters)}")
        wrapper = (self._comparing if key == "function" else self._preparing)(function, signature, argument)
        setattr(owner, last, kind(wrapper) if kind else wrapper)

    def _comparing(self, function: Function, signature: inspect.Signature, argument: str) -> Function:
        named = self.asked["name"]

        @functools.wraps(function)
        def compared(*args: Any, **kwargs: Any) -> Any:
            try:
                label = str(_argument(signature, named, args, kwargs)) if named else argument
                self._observe(label, _argument(signature, argument, args, kwargs))
            except Exception as error:  # noqa: BLE001  # the program must not see it
                self.problem(f"{self.asked['function']}: {type(error).__name__}: {error}")
            return function(*args, **kwargs)

        return compared

    def _preparing(self, function: Function, signature: inspect.Signature, argument: str) -> Function:
        @functools.wraps(function)
        def prepared(*args: Any, **kwargs: Any) -> Any:
            if argument:
                self._freeze(lambda: _argument(signature, argument, args, kwargs))
            result = function(*args, **kwargs)
            if not argument:
                self._freeze(lambda: result)
            return result

        return prepared

    def _observe(self, label: str, value: Any) -> None:
        with self._lock:
            if os.getpid() != self._pid:  # a child that was forked counts its own
                self._pid, self._calls, self._outputs = os.getpid(), 0, 0
            self._calls += 1
            entries = []
            for name, tensor in outputs_of(label, value):
                self._outputs += 1
                if self._outputs > _MOST_OUTPUTS:
                    raise ValueError(f"more than {_MOST_OUTPUTS} outputs in one process")
                entries.append({**described(tensor), "name": name, "call": self._calls})
            self._write(entries)

    def _freeze(self, value: Callable[[], Any]) -> None:
        with self._lock:
            try:
                self._frozen.take(value)
            except Exception as error:  # noqa: BLE001  # the program must not see it
                why = str(error) if isinstance(error, NotFrozenError) else f"{type(error).__name__}: {error}"
                self.problem(f"the inputs of {self.asked['inputs']} are not frozen: {why}")

    def _write(self, entries: Iterable[dict[str, Any]]) -> None:
        """Append lines to the file of digests, to which other processes of the program may write as well."""
        text = "".join(json.dumps({**entry, "process": os.getpid()}) + "\n" for entry in entries).encode()
        file = os.open(self.asked["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while text:
                text = text[os.write(file, text) :]
        finally:
            os.close(file)


def _argument(signature: inspect.Signature, name: str, args: Any, kwargs: Any) -> Any:
    """The value of the argument `name` in one call, its default where it is not given."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments[name]
