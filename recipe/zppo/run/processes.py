"""Whether a process of this machine is still there."""

import psutil


def started_at(pid: int) -> float | None:
    """Unix time at which process ``pid`` began; None if it has ended (a zombie has) or never was."""
    try:
        process = psutil.Process(pid)
        return None if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else process.create_time()
    except (psutil.Error, ValueError, OverflowError):
        return None
