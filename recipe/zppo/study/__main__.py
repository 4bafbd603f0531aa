"""Compare methods: ``python -m recipe.zppo.study [plan=table3] [key=value ...]``; ``--help`` lists plans and keys.

Started again with the same arguments it goes on where it was stopped. Exit status: 0 every run is finished; 1 some
failed, or the study could not start; 2 a mistake in the arguments, found before anything runs; 130 it was stopped.
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from recipe.zppo.config.ending import command, said
from recipe.zppo.errors import ConfigError, ZPPOError
from recipe.zppo.study.config import CONFIG_DIR, plans, read_config
from recipe.zppo.study.keys import StudyConfig


@command("study")
def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(arguments):
        print(__doc__ + f"\nPlans: {', '.join(plans())}\n\n" + (CONFIG_DIR / "study.yaml").read_text())
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _study(read_config(arguments), arguments)
    except ConfigError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except (ZPPOError, OSError) as error:
        print(f"study: {said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("study: stopped; the same command goes on, and keeps what is finished", file=sys.stderr)
        return 130


def _study(config: StudyConfig, arguments: Sequence[str]) -> int:
    there = next(path for path in (config.out, *config.out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"out: {there} is a file; name another folder")
    # What composes the trainer's config imports verl, which takes seconds; the study's own keys are checked by now.
    from recipe.zppo.study.backends import load_backend
    from recipe.zppo.study.display import Display
    from recipe.zppo.study.inputs import build_inputs, plan_inputs, questions, validation_files
    from recipe.zppo.study.ledger import Ledger
    from recipe.zppo.study.plan import Plan, available_steps, check_rows, check_steps
    from recipe.zppo.study.pool import Pool
    from recipe.zppo.study.report import about, write_plots
    from recipe.zppo.study.run_files import study_lock
    from recipe.zppo.study.runner import Study

    if ":" in config.backend:
        load_backend(config.backend)
    plan = Plan(config, plan_inputs(config))
    composed = check_rows(config, plan.inputs[0])
    for notice in config.notices:
        print(f"study: {notice}")
    if config.dry_run:
        _print_plan(plan)
        return 0
    with study_lock(config.out):
        build_inputs(config)
        available = {
            inputs.name: {row: available_steps(questions(inputs), of_row) for row, of_row in composed.items()}
            for inputs in plan.inputs
        }
        for name, steps in available.items():
            check_steps(plan, name, steps)
        validation = {
            inputs.name: validation_files(inputs, config.out / "data" / f"{inputs.name}-{inputs.key[:8]}")
            for inputs in plan.inputs
        }
        ledger = Ledger(config.out, validation, config.keep_checkpoints)
        study = Study(plan, ledger, validation, available, lambda: about(config, arguments, plan, ledger))
        pool = Pool(config.backend, config.workers, config.out / "logs")
        try:
            with Display(config.workers) as display:
                study.run(pool, display)
        finally:
            with _uninterrupted():
                pool.close()
                if ledger.with_state("finished"):
                    study.write_tables()
                    write_plots(config.out, plan, ledger)
        failed = ledger.with_state("failed")
        print((config.out / "table.md").read_text(encoding="utf-8"))
        print(f"study: tables and plots are in {config.out}")
        unmeasured = plan.waiting()
        for inputs, row in unmeasured:
            print(f"study: {row.name}, {inputs.name}: not run, since the times it needs could not be measured")
        if failed:
            print(f"study: {len(failed)} of the runs failed; the same command tries them again", file=sys.stderr)
        return 1 if failed or unmeasured else 0


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ending takes seconds, and nothing may be left behind."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _print_plan(plan) -> None:
    for run in plan.runs():
        print(f"{run.id}  {run.name}, {run.steps} steps")
    for inputs, row in plan.waiting():
        print(f"{'later':12}  {row.name}, {inputs.name}, seeds {list(row.seeds)}, as many steps as take the same time")


if __name__ == "__main__":
    sys.exit(main())
