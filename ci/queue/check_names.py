"""Under which name a job reports, so that one name has one meaning.

Branch protection requires a check by its name. Only a job that validates everything `farm.toml` asks for, against the
branch a commit is to be merged into, may report under the name that is required.
"""

from __future__ import annotations

from ci.config.repository import RepositorySection
from ci.queue.options import JobOptions
from ci.store.states import JobKind

REQUIRED = (JobKind.PULL_REQUEST, JobKind.MERGE_GROUP)


def check_name(repository: RepositorySection, kind: JobKind, options: JobOptions) -> str:
    """Return the name of the check of a job: the required one, or that one with a word on how it is less."""
    less = []
    if kind not in REQUIRED:
        less.append(kind.value)
    if is_narrowed(repository, options):
        less.append("narrowed")
    return f"{repository.check_name} ({', '.join(less)})" if less else repository.check_name


def is_narrowed(repository: RepositorySection, options: JobOptions) -> bool:
    """Whether `options` ask for less than the repository is configured to have validated."""
    targets = repository.judged_by()
    fewer_targets = bool(options.targets) and not set(options.targets) >= {each.name for each in targets}
    # Which cases are meant by none at all is the kernel's choice, so any choice of somebody else may be less.
    fewer_cases = bool(options.cases) and any(
        not each.cases or not set(options.cases) >= set(each.cases) for each in targets
    )
    fewer_devices = options.devices is not None and any(options.devices < each.devices for each in targets)
    return fewer_targets or fewer_cases or fewer_devices
