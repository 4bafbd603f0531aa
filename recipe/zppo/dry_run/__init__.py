"""What a run would do, and whether it would: planned from the config alone. May import: preflight and what it may.

    python -m verl.trainer.main_zppo ... zppo.dry_run=true zppo.hardware=8x8x80

`planning.plan` checks and `counting` counts, `page` shows the `Plan`, `command` is what users see.
"""
