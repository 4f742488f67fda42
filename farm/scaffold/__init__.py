"""What `farm init` writes: a small kernel that passes as it is. The files lie beside this one, as Jinja templates."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2

from farm.errors import UsageError
from farm.scaffold.farm_source import requirement

# Template → where its file goes.
FILES = {
    "my_kernel.py.jinja": "my_kernel.py",
    "budgets.toml.jinja": "budgets.toml",
    "test_my_kernel.py.jinja": "test_my_kernel.py",
    "pyproject.toml.jinja": "pyproject.toml",
    "farm.toml.jinja": "farm.toml",
    "README.md.jinja": "README.md",
    "workflow.yml.jinja": ".github/workflows/kernel.yml",
}


def write(directory: Path) -> list[Path]:
    """Write the starter into `directory`, which is made where it is not there; return the files.

    All or none: raises `UsageError` where one of them is there already, or the directory cannot be written.
    """
    targets = {template: directory / name for template, name in FILES.items()}
    if there := [str(path) for path in targets.values() if os.path.lexists(path)]:
        raise UsageError(f"{', '.join(there)} is there already; name an empty directory: farm init DIR")
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    source = requirement()
    texts = {path: templates.get_template(template).render(source=source) for template, path in targets.items()}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}; name another directory") from error
    return list(texts)
