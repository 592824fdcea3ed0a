"""What a bound number names: `NAME.DEVICE:KEY`.

NAME is a topic, and then the sentence must hold in both frameworks, or one
program of a topic, and then it speaks of that one alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from _guide.project import DEVICES, FRAMEWORKS, GuideError

FORM = re.compile(
    rf"(?P<topic>\w+?)(?:_(?P<framework>{'|'.join(FRAMEWORKS)}))?"
    rf"\.(?P<device>{'|'.join(DEVICES)}):(?P<key>[a-z0-9_.]+)"
)


class Unknown(GuideError):
    """A reference to what is not there; says what is expected."""


@dataclass(frozen=True)
class Reference:
    """A value or a judgement in one result, or in that of both frameworks."""

    topic: str
    # None where both frameworks are meant.
    framework: str | None
    device: str
    key: str

    @classmethod
    def read(cls, text: str) -> Reference | None:
        """The reference that `text` writes; None if it writes none."""
        match = FORM.fullmatch(text)
        return cls(**match.groupdict()) if match else None

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The frameworks in which the sentence must hold."""
        return (self.framework,) if self.framework else FRAMEWORKS

    @property
    def programs(self) -> list[str]:
        """The programs that it asks, as `TOPIC_FRAMEWORK`."""
        return [f"{self.topic}_{framework}" for framework in self.frameworks]

    @property
    def files(self) -> list[str]:
        """The results that it asks, as `TOPIC_FRAMEWORK.DEVICE`."""
        return [f"{program}.{self.device}" for program in self.programs]

    @property
    def name(self) -> str:
        """What stands before the device: a topic or a program."""
        return self.programs[0] if self.framework else self.topic

    def __str__(self) -> str:
        return f"{self.name}.{self.device}:{self.key}"
