"""The trials of a suite that wait for devices, and which device belongs to which witness of a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from farm.leasing.device_lease import card_of
from farm.model.run import DeviceRecord
from jobs.records import Arm


@dataclass(frozen=True, slots=True)
class Turn:
    """One trial that waits for its devices."""

    file: str
    repeat: int
    arm: Arm = Arm.HEAD
    attempt: int = 0
    avoid: frozenset[str] = frozenset()  # devices that are to be no witness twice, while there are others
    only: str = ""  # the device that is to repeat the trial; "" for whichever is free
    home: str = ""  # the device it should be made on while that is held: the other arm was
    second: bool = False  # the other arm of the same repeat went before


@dataclass(slots=True)
class Witnesses:
    """Each witness of a file makes its repeats on one device, and no two witnesses on one card.

    With no witnesses asked for, every trial goes to whichever device is free.
    """

    count: int = 0  # of each file; 0 for none in particular
    repeats: int = 1  # of each witness
    _homes: dict[tuple[str, int], DeviceRecord] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """Of each file."""
        return max(1, self.count) * self.repeats

    def home(self, turn: Turn) -> str:
        """Return the device of the turn's witness, "" where it has none yet."""
        device = self._homes.get(self._key(turn))
        return device.id if device is not None else ""

    def settle(self, turn: Turn, device: DeviceRecord) -> None:
        """Note that the turn's witness is on `device` from now on."""
        if self.count:
            self._homes[self._key(turn)] = device

    def leave(self, turn: Turn) -> None:
        """Note that the turn's witness goes to another device: a trial was lost on its own."""
        self._homes.pop(self._key(turn), None)

    def cards_of_others(self, turn: Turn) -> set[str]:
        """Return the cards of the file's other witnesses."""
        mine = self._key(turn)
        return {card_of(device) for key, device in self._homes.items() if key[0] == turn.file and key != mine}

    def _key(self, turn: Turn) -> tuple[str, int]:
        """The witness: repeats are numbered through, witness by witness; further rounds start again with the first."""
        return turn.file, (turn.repeat // self.repeats) % max(1, self.count)
