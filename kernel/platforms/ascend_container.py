"""What a process that sees only a part of the machine needs of an Ascend one to use one NPU.

From Ascend's published lists of what a container of one device is given (hiascend.com, "Use in Containers" of the
toolbox and "Default Content Mounted by Ascend Docker Runtime"). **Not tried on hardware.**
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kernel.platforms.device_limits import DeviceLimits
from kernel.platforms.protocol import Needs

VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"  # physical indices a process may use
HOME = "ASCEND_HOME_PATH"  # the toolkit, as its set_env.sh says
_MANAGERS = ("davinci_manager", "devmm_svm", "hisi_hdc")  # of all devices: management, shared memory, host link
_FILES = ("/etc/ascend_install.info", "/etc/hdcBasic.cfg", "/etc/sys_version.conf")  # where the driver says what it is
_TOLD = (HOME, "ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH", "ASCEND_AICPU_PATH", "TOOLCHAIN_HOME", "LD_LIBRARY_PATH")


def needs(device: int, environment: Mapping[str, str], root: Path = Path("/")) -> Needs:
    """What a process needs for physical device `device` and for no other.

    `environment` is that of a process that has the toolkit set up; `root` is where /dev and /etc are. What lies below
    /usr/local/Ascend is a part of the system; a toolkit elsewhere is named.
    """
    limits = DeviceLimits.told(environment)
    return Needs(
        devices=tuple(root / "dev" / name for name in (f"davinci{device}", *_MANAGERS)),
        variables={
            **{name: environment[name] for name in _TOLD if environment.get(name)},
            **({} if limits is None else limits.variables()),
            VISIBLE: str(device),
        },
        read=(*_toolkit(environment), *(path for name in _FILES if (path := root / name.lstrip("/")).is_file())),
        python=_modules(environment),
    )


def first_visible(environment: Mapping[str, str]) -> int:
    """The device a process uses that asks for none, by its physical index."""
    first = environment.get(VISIBLE, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def _toolkit(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The toolkit's directory, by the name it is called and by its own, where that is not part of the system."""
    home = Path(environment.get(HOME) or "/usr")
    return tuple(path for path in dict.fromkeys((home, home.resolve())) if _is_elsewhere(path))


def _is_elsewhere(path: Path) -> bool:
    return path.is_dir() and not path.is_relative_to("/usr")


def _modules(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Directories of the toolkit's own Python modules, `acl` among them."""
    homes = [Path(environment[HOME]), Path(environment[HOME]).resolve()] if environment.get(HOME) else []
    found = [Path(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return tuple(path for path in found if any(path.is_relative_to(home) for home in homes))
