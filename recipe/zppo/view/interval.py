"""Wilson's interval for a share."""

import math
from dataclasses import dataclass

Z = 1.96
"""95%, two-sided."""


@dataclass(frozen=True)
class Proportion:
    """``value``, a share of ``whole`` independent things; ``low`` and ``high`` are Wilson's 95% interval."""

    value: float
    whole: int

    @property
    def low(self) -> float:
        return max(0.0, self._middle - self._reach)

    @property
    def high(self) -> float:
        return min(1.0, self._middle + self._reach)

    @property
    def _middle(self) -> float:
        return (self.value + Z**2 / (2 * self.whole)) / (1 + Z**2 / self.whole)

    @property
    def _reach(self) -> float:
        variance = self.value * (1 - self.value) / self.whole + Z**2 / (4 * self.whole**2)
        return Z * math.sqrt(variance) / (1 + Z**2 / self.whole)
