"""A kernel named by its file, `path/to/mine.py:KERNEL`: no package and no installation, for the kernel being written.

The file is imported once a process, and again once it is edited. Modules beside it can be imported too; where it lies
in a package, it is imported as a part of that, so that its relative imports work.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from kernel.errors import KernelLoadError

DEFAULT_ATTRIBUTE = "KERNEL"


def is_path(name: str) -> bool:
    """Whether `name` names a file, and not an installed kernel."""
    return _split(name)[0].endswith(".py")


def absolute(name: str) -> str:
    """`name` with its file as an absolute path and its attribute spelt out, so that it means the same everywhere.

    The name of an installed kernel comes back as it is.
    """
    if not is_path(name):
        return name
    file, attribute = _split(name)
    return f"{Path(file).expanduser().resolve()}:{attribute}"


def file_of(name: str) -> Path:
    """The file that `name` (see `is_path`) names, as an absolute path."""
    return Path(_split(name)[0]).expanduser().resolve()


def load(name: str) -> object:
    """What `name` (see `is_path`) names, unchecked. Raises `KernelLoadError`."""
    file, attribute = _split(name)
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise KernelLoadError(name, f"there is no file {path}", "name one as path/to/mine.py:KERNEL")
    try:
        module = _imported(path)
    except (Exception, SystemExit) as error:
        problem = f"the import fails: {last_line(error, path.parent)}"
        raise KernelLoadError(name, problem, "make the file import by itself") from error
    found: object = getattr(module, attribute, None)
    if found is None:
        raise KernelLoadError(name, f"{path.name} has no {attribute}", "name the kernel object after the colon")
    return found


def last_line(error: BaseException, within: Path) -> str:
    """The last line of `error`, and where it was raised: the innermost line below `within`, else of all."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(within)]
    last = traceback.format_exception_only(type(error), error)[-1]
    what = " ".join(last.split())
    if isinstance(error, SyntaxError) and error.filename:
        return f"{what} ({error.filename}:{error.lineno})"
    where = (own or frames)[-1:]
    return f"{what} ({where[0].filename}:{where[0].lineno})" if where else what


def _split(name: str) -> tuple[str, str]:
    """File and attribute; a file alone means its `KERNEL`."""
    file, separator, attribute = name.rpartition(":")
    return (file, attribute) if separator and file.endswith(".py") else (name, DEFAULT_ATTRIBUTE)


def _imported(path: Path) -> ModuleType:
    top = path.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    if str(top) not in sys.path:
        sys.path.append(str(top))  # at the end: a neighbour named like an installed module must not take its place
    if top == path.parent:
        return _alone(path)
    dotted = ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(dotted)
    if Path(module.__file__ or "").resolve() != path:
        raise ImportError(f"'{dotted}' is already {module.__file__}; rename the package")
    return module


def _alone(path: Path) -> ModuleType:
    """A file of no package, under a name of its own: two files called `mine.py`, or an edited one, are two modules."""
    name = f"farm_kernel_{hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
