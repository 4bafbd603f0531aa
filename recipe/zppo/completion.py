"""``python -m recipe.zppo.completion bash|zsh|fish``: a script for the shell that completes `zppo` and its keys.

It holds the names as they are now: ``eval "$(zppo completion bash)"`` in the shell's start-up file keeps it current.
"""

import sys
from collections.abc import Iterator

from recipe.zppo.config.commands import COMMANDS
from recipe.zppo.config.ending import command
from recipe.zppo.config.engine import Group, choices, is_group
from recipe.zppo.config.paths import CONFIG_DIR
from recipe.zppo.config.schema import ZPPOConfig

# The word is taken from the line: bash splits words at `=`, and what is completed is the part behind it.
BASH = """\
_zppo() {{
    local IFS=$'\\n' line=${{COMP_LINE:0:COMP_POINT}}
    local current=${{line##*[[:space:]]}}
    COMPREPLY=()
    if [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$current"))
    elif [[ $COMP_CWORD == 2 && ${{COMP_WORDS[1]}} == data ]]; then
        COMPREPLY=($(compgen -W "{data}" -- "$current"))
    elif [[ ${{COMP_WORDS[1]}} == train || ${{COMP_WORDS[1]}} == local ]]; then
        COMPREPLY=($(compgen -W "{keys}" -- "$current"))
        [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
        [[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && COMPREPLY=("${{COMPREPLY[@]#"${{current%=*}}="}}")
    fi
}}
complete -o default -F _zppo zppo
"""
ZSH = """\
_zppo() {{
    local -a keys=({keys})
    if (( CURRENT == 2 )); then
        compadd -- {commands}
    elif [[ $CURRENT == 3 && $words[2] == data ]]; then
        compadd -- {data}
    elif [[ $words[2] == (train|local) ]]; then
        compadd -S '' -- ${{(M)keys:#*=}}
        compadd -- ${{keys:#*=}}
        compset -P '*=' && _files
    else
        _files
    fi
}}
(( $+functions[compdef] )) || {{ autoload -U compinit && compinit }}
compdef _zppo zppo
"""
FISH = """\
complete -c zppo -n __fish_use_subcommand -f -a '{commands}'
complete -c zppo -n '__fish_seen_subcommand_from data; and not __fish_seen_subcommand_from {data}' -f -a '{data}'
complete -c zppo -n '__fish_seen_subcommand_from train local' -a '{keys}'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
OFTEN = (
    "data.train_files=",
    "data.val_files=",
    "data.columns.prompt=",
    "data.columns.answer=",
    "data.train_batch_size=",
    "data.max_prompt_length=",
    "data.max_response_length=",
    "actor_rollout_ref.model.path=",
    "actor_rollout_ref.rollout.n=",
    "actor_rollout_ref.actor.optim.lr=",
    "trainer.default_local_dir=",
    "trainer.total_training_steps=",
    "trainer.save_freq=",
    "trainer.test_freq=",
    "trainer.logger=",
)
"""Keys of verl's that a run usually sets."""


def keys(group: type[Group] = ZPPOConfig, path: str = "zppo.") -> Iterator[str]:
    """`zppo.replay.capacity=`, and with its value where there is a choice: `zppo.reward.grader=careful`."""
    for name, field in group.model_fields.items():
        if is_group(field.annotation):
            yield from keys(field.annotation, f"{path}{name}.")
        else:
            values = ("true", "false") if field.annotation is bool else choices(field.annotation) or ("",)
            yield from (f"{path}{name}={value}" for value in values)


def script(shell: str) -> str:
    groups = [
        f"{group}={file.stem}"
        for group in ("method", "platform", "preset")
        for file in (CONFIG_DIR / group).glob("*.yaml")
    ]
    between = "\n" if shell == "bash" else " "
    commands = dict.fromkeys(name.split()[0] for name in COMMANDS)
    data = [name.split()[1] for name in COMMANDS if name.startswith("data ")]
    names = {"commands": commands, "data": data, "keys": [*sorted(groups), *OFTEN, *keys()]}
    return SCRIPTS[shell].format(**{name: between.join(values) for name, values in names.items()})


@command()
def main() -> int:
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(sys.argv) != 2 or sys.argv[1] not in SCRIPTS:
        print(f"usage: zppo completion {'|'.join(SCRIPTS)}", file=sys.stderr)
        return 2
    print(script(sys.argv[1]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
