"""Every use of PyPTO's undocumented interfaces, in one place, for the one version they were read in.

PyPTO's public interface compiles and launches; it does not hand the cost model's result to the caller, and without CANN
its verification set-up copies zeros instead of the caller's inputs. What is needed beyond the public interface is here,
so that another version of PyPTO means reading this file again and nothing else.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from kernel.errors import PlatformUnavailableError

SUPPORTED_VERSION = "0.2.0"
NEWEST_PYTHON = (3, 12)  # of its wheels; the oldest is 3.10

# Read by PyPTO's native code whenever it opens a directory.
_OUTPUT_VARIABLE = "TILE_FWK_OUTPUT_DIR"
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
_HOME_VARIABLE = "PYPTO_HOME"


def installed_version() -> str:
    """PyPTO's version as its distribution states it; "" where it is not installed. Does not import it."""
    try:
        return metadata.version("pypto")
    except metadata.PackageNotFoundError:
        return ""


def require_version(platform: str) -> None:
    """Raise `PlatformUnavailableError` unless the installed PyPTO is the one this module was written for."""
    version = installed_version()
    if version == SUPPORTED_VERSION:
        return
    found = f"PyPTO {version} is installed" if version else "PyPTO is not installed"
    raise PlatformUnavailableError(platform, found, remedy())


def remedy() -> str:
    """Return how PyPTO is installed, which the farm's base does not bring, and with which Python."""
    extra = f"install the farm with its extra 'pypto', which brings pypto {SUPPORTED_VERSION}"
    newest = ".".join(map(str, NEWEST_PYTHON))
    return extra if sys.version_info[:2] <= NEWEST_PYTHON else f"{extra}, with Python {newest} or older"


def package_directory() -> Path | None:
    """Where the installed package lies; None where it is not installed. Does not import it."""
    spec = find_spec("pypto")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def load(platform: str) -> ModuleType:
    """Import PyPTO, once its version is known to be the right one."""
    require_version(platform)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    import pypto

    # Importing it sets every logger of the process to DEBUG on stderr; logging is the caller's business.
    root.handlers[:] = handlers
    root.setLevel(level)
    module: ModuleType = pypto
    return module


def log_to_stdout() -> None:
    """Let native errors go to stdout, where a run's log gets them; without effect once PyPTO has been imported."""
    os.environ.setdefault("ASCEND_SLOG_PRINT_TO_STDOUT", "1")


@contextmanager
def environment(directory: Path, variables: Mapping[str, str | None]) -> Iterator[None]:
    """Let PyPTO put everything it writes below `directory`, under `variables` (None: unset), while the context lasts.

    The variables are read again at every compilation, so each run gets a directory of its own; the home directory is
    moved along because PyPTO rotates files there that parallel processes would otherwise fight over.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _plain_path(directory) as plain:
        wanted = {**variables, _OUTPUT_VARIABLE: str(plain), _HOME_VARIABLE: str(plain / "home")}
        before = {name: os.environ.get(name) for name in wanted}
        _set_variables(wanted)
        try:
            yield
        finally:
            _set_variables(before)


@contextmanager
def _plain_path(directory: Path) -> Iterator[Path]:
    """A path to `directory` that a shell reads as one word.

    PyPTO builds shell commands from its output path without quoting it, and ends the whole process when they fail: a
    space in the path is enough.
    """
    if _PLAIN.fullmatch(str(directory)):
        yield directory
        return
    scratch = tempfile.gettempdir() if _PLAIN.fullmatch(tempfile.gettempdir()) else "/tmp"
    with tempfile.TemporaryDirectory(prefix="farm-", dir=scratch) as own:
        link = Path(own) / "run"
        link.symlink_to(directory.resolve(), target_is_directory=True)
        yield link


def _set_variables(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def output_directory() -> Path:
    """The directory PyPTO opened for its latest compilation."""
    from pypto import pypto_impl

    return Path(pypto_impl.LogTopFolder()).resolve()


_SPENT: list[str] = []


def mark_spent(why: str) -> None:
    """Note that this process must not compile again: PyPTO would wait for ever for a task its compile thread lost."""
    _SPENT.append(why)


def require_unspent(platform: str) -> None:
    """Raise `PlatformUnavailableError` where an earlier failure has left PyPTO unusable in this process."""
    if _SPENT:
        reason = f"an earlier failure has left PyPTO unusable in this process ({_SPENT[0]})"
        raise PlatformUnavailableError(platform, reason, "go on in a fresh process")


def forget_previous_program() -> None:
    """Drop what one compilation, or one that failed half-way, leaves behind for the next in the same process.

    The last semantic label would stick to the first operations of the next program, a failed program would count as
    still open, and every compiled module would be kept alive for ever.
    """
    from pypto import pypto_impl
    from pypto._controller import Controller
    from pypto.frontend.parser.entry import JitCallableWrapper

    Controller.end_function()
    pypto_impl.Reset()
    pypto_impl.SetSemanticLabel("", "", 0)
    JitCallableWrapper._kernel_module_cache.clear()


def decorate(farm_decorator: Callable[..., Any], farm_entry: Callable[..., None]) -> Callable[..., None]:
    """`farm_entry` decorated by `pypto.frontend.jit(...)`.

    PyPTO resolves names of the program first among the local variables of the frame that decorates it, so this frame
    has none but two that no program would use.
    """
    wrapped: Callable[..., None] = farm_decorator(farm_entry)
    return wrapped


def hand_over_inputs() -> None:
    """Make PyPTO's calculator read the caller's own tensors.

    The stock set-up copies them through a device copy that does nothing without CANN, and would compute everything
    from zeros. Idempotent.
    """
    from pypto.frontend.parser.entry import JitCallableWrapper

    JitCallableWrapper._setup_verify_data = staticmethod(_set_verify_data)


def _set_verify_data(tensors: list[Any]) -> None:
    import pypto
    from pypto import pypto_impl
    from pypto.frontend.parser.entry import _pto_to_tensor_data

    if pypto.get_verify_options().get("enable_pass_verify"):
        pypto_impl.SetVerifyData(_pto_to_tensor_data(tensors), [], [])


def calculator_sources() -> Path:
    """The CMake project of PyPTO's host calculator."""
    package = package_directory()
    assert package is not None, "call require_version first"
    return package / "lib" / "calculator"


def calculator_definitions() -> dict[str, str]:
    """What that CMake project wants to know about the installed torch."""
    import torch

    return {
        "PY3_MOD_TORCH_VERSION": str(torch.__version__),
        "PY3_MOD_TORCH_ROOT_PATH": str(Path(torch.__file__).parent),
        "PY3_MOD_TORCH_C_GLIBCXX_USE_CXX11_ABI": str(int(torch._C._GLIBCXX_USE_CXX11_ABI)),
    }


CALCULATOR_LIBRARY = "libtile_fwk_calculator.so"


def find_cmake() -> Path | None:
    """A native cmake, or None. The wrapper script of the PyPI package is passed over, as PyPTO itself does."""
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which("cmake", path=directory) if directory else None
        if found and _is_elf(Path(found).resolve()):
            return Path(found).resolve()
    return None


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
