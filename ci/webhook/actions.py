"""From what an event asks for to what is done about it, with everything known that only the forge knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ci.forge.protocol import Forge
from ci.queue.intents import Cancel, Rerun, Validate
from ci.queue.job_queue import Queue
from ci.queue.options import JobOptions
from ci.store.states import JobKind
from ci.webhook import commands
from ci.webhook.asked import Ask, Intent, Nothing
from ci.webhook.events import validation, wanted
from farm.model.audit import Actor, AuditAction
from farm.report.run.markdown import code

Action = Callable[[Queue], str]  # does it, in the queue's transaction, and returns one line on it

_RETUNE = (
    "The service does not search for tunings: a search takes all devices for hours. Run it where you have them:\n\n"
    "    farm tune --devices N\n\nand open a pull request with the patch that it prints."
)
_CHANGES: dict[type[object], AuditAction] = {  # commands that change something
    commands.Run: AuditAction.SUBMITTED,
    commands.Approve: AuditAction.APPROVED,
    commands.CancelCommand: AuditAction.CANCELLED,
}
_LONGEST_ECHO = 300  # characters of what somebody typed that are said back


async def action(intent: Intent, repository: str, forge: Forge) -> Action:
    """What to do about one intent. Raises `ForgeError` where the forge has to be asked and does not tell."""
    if isinstance(intent, Ask):
        return await _command(intent, repository, forge)
    if isinstance(intent, Validate) and intent.kind is JobKind.PULL_REQUEST and intent.number is not None:
        # Deliveries overtake each other, and lost ones come days late: what counts is the pull request as it is now.
        anew, intent = intent.anew, wanted(await forge.pull_request(repository, intent.number))
        intent = replace(intent, anew=anew) if isinstance(intent, Validate) else intent
    return settled(intent)


def settled(intent: Validate | Cancel | Rerun | Nothing) -> Action:
    """What to do about an intent for which nobody has to be asked."""
    if isinstance(intent, Validate):
        return lambda queue: queue.validate(intent)
    if isinstance(intent, Cancel):
        return lambda queue: queue.withdraw(intent.subject, intent.reason)
    if isinstance(intent, Rerun):
        return lambda queue: queue.rerun(intent)
    return lambda queue: intent.reason


async def _command(asked: Ask, repository: str, forge: Forge) -> Action:
    """Obey only people with write access, and answer everyone with the result."""
    permission = await forge.permission(repository, asked.login)
    command = asked.command
    if not permission.may_write:
        # One comment for all who may not: nobody gets to fill the page.
        denial = "`/farm` listens to people with write access to this repository."
        return _replying(asked, "denied", lambda queue: _denied(queue, asked), denial)
    to = str(asked.comment_id)
    if isinstance(command, commands.Help):
        problem = f"That was not understood: {code(command.problem[:_LONGEST_ECHO])}\n\n" if command.problem else ""
        return _replying(asked, to, lambda queue: "helped", problem + commands.HELP)
    if isinstance(command, commands.CancelCommand):
        return _replying(asked, to, lambda queue: queue.cancel(asked.subject, f"by {asked.login}", _by(queue, asked)))
    if isinstance(command, commands.Approve):
        return _replying(
            asked, to, lambda queue: queue.approve(asked.subject, command.sha, asked.login, _origin(asked))
        )
    if isinstance(command, commands.Retune):
        return _replying(asked, to, lambda queue: "told how to retune", _RETUNE)
    pull = await forge.pull_request(repository, asked.number)
    run = validation(pull)
    return _replying(asked, to, lambda queue: _submitted(queue, asked, run, command.options))


def _origin(asked: Ask) -> str:
    return f"comment {asked.comment_id} on {asked.subject}"


def _by(queue: Queue, asked: Ask) -> Actor:
    return Actor(f"{asked.login}@{queue.forge}", _origin(asked))


def _submitted(queue: Queue, asked: Ask, run: Validate, options: JobOptions) -> str:
    queue.note(_by(queue, asked), AuditAction.SUBMITTED, run.head_sha)
    return queue.validate(run, options)


def _denied(queue: Queue, asked: Ask) -> str:
    """Note what somebody without write access has asked for, where it would have changed something."""
    action = _CHANGES.get(type(asked.command))
    if action is not None:
        queue.note(_by(queue, asked), action, asked.subject, "refused: no write access")
    return "not obeyed: no write access"


def _replying(asked: Ask, to: str, act: Action, text: str = "") -> Action:
    """`act`, and a reply: `text`, or what `act` says of itself."""

    def both(queue: Queue) -> str:
        outcome = act(queue)
        queue.reply(asked.number, to, text or f"{outcome[:1].upper()}{outcome[1:]}.")
        return outcome

    return both
