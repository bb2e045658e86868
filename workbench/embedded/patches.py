"""Replacements of names inside moto, all taken back on close."""

from __future__ import annotations

from typing import Any


class Patches:
    """Remembers what it replaced. Raises AttributeError for a name that moto no longer has."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Sets `owner.name` to `value`; the name must exist."""
        original = vars(owner)[name] if isinstance(owner, type) and name in vars(owner) else getattr(owner, name)
        self._replaced.append((owner, name, original))
        setattr(owner, name, value)

    def original(self, owner: Any, name: str) -> Any:
        """What stands, or stood before it was replaced, under that name."""
        for replaced, known, value in self._replaced:
            if replaced is owner and known == name:
                return value
        return getattr(owner, name)

    def undo(self) -> None:
        """Puts everything back, the last one first."""
        while self._replaced:
            owner, name, original = self._replaced.pop()
            setattr(owner, name, original)
