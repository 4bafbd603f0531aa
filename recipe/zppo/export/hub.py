"""Putting an exported folder onto the Hugging Face hub. What can't work is found before anything is merged."""

import shlex
from pathlib import Path
from typing import Any

from recipe.zppo.errors import ExportError, first_line, one_line

_ASK_S = 30
"""Seconds that the hub may take for an answer; its own client waits without limit. Sending weights may take longer."""


def connect(name: str, private: bool = False) -> Any:
    """A client that may write to the account.

    Args:
        name: `OWNER/NAME`.
        private: nobody else may see what is sent there.

    Raises:
        ExportError: no such name can be, there is no token or not a valid one, the hub can't be reached, or what shall
            be private is a public repository already.
    """
    import httpx
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import get_session, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ExportError(f"--push {name}: {first_line(error)}") from error
    if "/" not in name:
        raise ExportError(f"--push {name}: give OWNER/NAME")
    if constants.HF_HUB_OFFLINE:
        raise ExportError(f"--push {name}: HF_HUB_OFFLINE is set, so nothing is sent to the hub; unset it")
    token = get_token()
    if token is None:
        raise ExportError(f"--push {name}: there is no token; log in with `hf auth login`, or set HF_TOKEN")
    get_session().timeout = httpx.Timeout(_ASK_S, write=None)
    api = HfApi(token=token)
    try:
        api.whoami()
        if private:
            _check_not_public(api, name)
    except HfHubHTTPError as error:
        refused = error.response is not None and error.response.status_code in (401, 403)
        what = "the hub does not take the token; log in again with `hf auth login`" if refused else one_line(error)
        raise ExportError(f"--push {name}: {what}") from error
    except (httpx.HTTPError, OSError) as error:
        raise ExportError(f"--push {name}: {constants.ENDPOINT} can't be reached ({one_line(error)})") from error
    return api


def push(api: Any, folder: Path, name: str, private: bool) -> str:
    """Make the repository if there is none, and send the folder in one commit; gives its address.

    Raises:
        ExportError: the hub refused it, it is a public one that shall be private, or the network broke; the folder
            stays as it is.
    """
    try:
        address = api.create_repo(name, private=private or None, exist_ok=True)
        if private:  # asked for before the export, which may have taken hours
            _check_not_public(api, name)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Exported by open-zppo")
    except ExportError:
        raise
    except Exception as error:  # of the library, its client and its uploader, without a common type
        later = shlex.join(["hf", "upload", name, str(folder), *(["--private"] if private else [])])
        raise ExportError(f"--push {name}: {one_line(error)}; to send it later: {later}") from error
    return str(address)


def _check_not_public(api: Any, name: str) -> None:
    """The hub takes an existing repository as it is, whatever it is asked for."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.model_info(name)
    except RepositoryNotFoundError:
        return
    if not found.private:
        raise ExportError(
            f"--private: {name} is a public repository already, and stays one; make it private in its settings on the "
            "hub, or give another name to --push"
        )
