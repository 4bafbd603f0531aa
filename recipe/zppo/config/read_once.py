"""A folder of YAML files for Hydra, each of which is read once in a process.

Hydra composes three times for one command: for its mode, for the job, and for our check against the defaults. Each time
it would read thirty files with a parser in Python, which is half of the time that composing takes.
"""

import functools
import pickle
from pathlib import Path

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

SCHEME = "read-once"


class ReadOnce(ConfigSource):
    """What Hydra's `file://` is, for files that nobody changes while the process runs: verl's and ours."""

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if not file.is_file():
            raise ConfigLoadError(f"Config not found : {file}")
        pickled, text = _read(file)
        config = pickle.loads(pickled)  # a copy: Hydra takes the defaults list out of it
        return ConfigResult(self.provider, f"{SCHEME}://{self.path}", config, self._get_header_dict(text))

    def available(self) -> bool:
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        return Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        names: list[str] = []
        for entry in Path(self.path, config_path).iterdir():
            self._list_add_result(names, str(Path(config_path, entry.name)), entry.name, results_filter)
        return sorted(set(names))

    def _file(self, config_path: str) -> Path:
        return Path(self.path, self._normalize_file_name(config_path))


@functools.cache
def _read(file: Path) -> tuple[bytes, str]:
    """The content, pickled, and the first lines, where Hydra looks for `# @package _global_`."""
    return pickle.dumps(OmegaConf.load(file)), file.read_text(encoding="utf-8")[:512]
