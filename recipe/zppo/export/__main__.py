"""``python -m recipe.zppo.export RUN``: a checkpoint as a Hugging Face folder. Exit status 0, 1 (push), 2, 130."""

import argparse
import os
import sys
from pathlib import Path

from recipe.zppo.config.ending import Arguments
from recipe.zppo.errors import ExportError
from recipe.zppo.run.weights import DTYPES

EPILOG = """\
The folder holds weights, tokenizer, chat template, generation config and a model card (README.md) with what the run
recorded: look at it before you publish it. Checkpoints are read with pickle: export your own only."""


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = Arguments(
        prog="zppo export", description="Any checkpoint of a run as a Hugging Face folder.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("run", metavar="RUN", help="folder of the run (its trainer.default_local_dir)")
    parser.add_argument("--step", type=int, metavar="N", help="which checkpoint; the newest by default")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="of the weights (default: %(default)s)")
    parser.add_argument("--to", metavar="FOLDER", help="where to (default: RUN/export/step_N)")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is there")
    parser.add_argument("--adapter", metavar="FOLDER", help="write a LoRA student's adapter alone there too")
    parser.add_argument("--base", metavar="MODEL", help="the model that the run began from, if it has moved")
    parser.add_argument("--push", metavar="OWNER/NAME", help="send the folder to the hub")
    parser.add_argument("--private", action="store_true", help="make the hub's repository a private one")
    options = parser.parse_args(given)
    if options.private and not options.push:
        parser.error("--private: nothing is pushed; add --push OWNER/NAME")
    return options


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():  # a bar would be many lines in a file
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("zppo: interrupted", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    from recipe.zppo.export.hub import connect, push
    from recipe.zppo.export.record import read_record
    from recipe.zppo.export.source import find
    from recipe.zppo.export.write import check_target, export

    try:
        source = find(options.run, options.step)
        target = Path(options.to).expanduser() if options.to else source.run / "export" / source.name
        target = target.parent.resolve() / target.name
        check_target(target, source, options.overwrite)
        adapter = Path(options.adapter).expanduser().resolve() if options.adapter else None
        if adapter is not None:
            check_target(adapter, source, options.overwrite, key="--adapter")
            whole = target.resolve()
            if adapter.is_relative_to(whole) or whole.is_relative_to(adapter):
                raise ExportError(f"--adapter {adapter}: this is --to {target}, or one lies in the other; name another")
        hub = connect(options.push, options.private) if options.push else None
        record = read_record(source.run, source.path, source.step)
        name = options.push or target.name
        export(source, record, target, name=name, dtype=options.dtype, base=options.base, adapter=adapter)
    except (ExportError, OSError) as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    print(f"{source.path.name} of {source.run} in {options.dtype}: {target}")
    if hub is not None:
        try:
            print(push(hub, target, options.push, options.private))
        except ExportError as error:
            print(f"zppo: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
