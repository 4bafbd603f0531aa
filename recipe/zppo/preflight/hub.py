"""Whether the hub gives a model or a data set, asked once and in short: its clients try for half a minute."""

import os
from functools import lru_cache

from recipe.zppo.errors import first_line

LIMIT_S = 10.0

_OFFLINE = "HF_HUB_OFFLINE is set, as platform=cpu does; with HF_HUB_OFFLINE=0 before the command the hub is asked"


def why_not_on_hub(name: str, kind: str = "model") -> str:
    """Why ``OWNER/NAME`` can't be downloaded now; empty if it can.

    Args:
        name: with `@revision` if wanted.
        kind: `model` or `dataset`.
    """
    return _OFFLINE if offline() else _asked(name, kind)


def offline() -> bool:
    """The user wants no network."""
    return os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")


@lru_cache
def _asked(name: str, kind: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    name, _, revision = name.partition("@")
    try:
        HfApi().repo_info(name, repo_type=kind, revision=revision or None, timeout=LIMIT_S)
    except RevisionNotFoundError:
        return f"the hub has no revision {revision} of it"
    except GatedRepoError:
        return "the hub wants you to agree to its terms there first, and to log in (hf auth login)"
    except RepositoryNotFoundError:
        return "the hub has none of that name, or none that you may see (hf auth login)"
    except Exception as error:  # its HTTP client raises what it likes
        return f"the hub can't be reached ({first_line(error):.200})"
    return ""
