"""A value that travels with the run and is shown nowhere."""

import os


class Secret:
    """A text whose printed form is ``***``. Pickled, it carries the text: Ray sends it as an argument.

    As an argument, since of the two ways to bring a key to workers on other nodes the other one, the environment
    variables of Ray's `runtime_env`, ends up in files: verl prints its `ray.init` arguments, and Ray's runtime-env
    agent logs every environment that it makes.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str = ""):
        self._text = text.strip()

    @classmethod
    def from_environment(cls, name: str) -> "Secret":
        """Empty where the variable is not set."""
        return cls(os.environ.get(name, ""))

    def __bool__(self) -> bool:
        return bool(self._text)

    def reveal(self) -> str:
        return self._text

    def redact(self, text: str) -> str:
        """``text`` without the secret in it."""
        return text.replace(self._text, "***") if self._text else text

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    __str__ = __repr__
