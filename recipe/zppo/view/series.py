"""The numbers of the paper's figures, as frames: what pictures and pages of a run show. Needs no matplotlib."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from recipe.zppo.replay_buffer import MOST_VISITS_COUNTED
from recipe.zppo.run.folder import Row
from recipe.zppo.view import outcome

_MAX_LEVELS = 8


def metrics_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One row a step from 1 on, indexed by step; missing values are NaN."""
    frame = pd.DataFrame([row for row in rows if row["step"] >= 1])
    return frame.astype({"step": int}).set_index("step") if len(frame) else frame


def columns(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The named columns that the run has, under their new names; rows without any of them left out."""
    present = {key: name for name, key in names.items() if key in frame}
    return frame[list(present)].rename(columns=present).dropna(how="all").dropna(axis="columns", how="all")


def smoothed(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """A row for every step from the first to the last; means over about a tenth of the run where there is a value, and
    over how many steps they are. A mean lies in the middle of its steps, so that their number is odd.
    """
    every = values.reindex(range(int(values.index[0]), int(values.index[-1]) + 1))
    window = 2 * (len(every) // 20) + 1
    return every, every.rolling(window, min_periods=1, center=True).mean().where(every.notna()), window


def batch_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares of a step's groups, which add up to 1: plain ones of easy and hard questions, each kind the run has."""
    names = {"easy": "zppo/batch/easy_share"}
    names |= {label: f"zppo/batch/{kind}_share" for kind, label in outcome.KINDS.items()}
    shares = columns(frame, names)
    if "easy" not in shares:
        return pd.DataFrame()
    shares = shares[shares["easy"].notna()].fillna(0)
    shares = shares[[name for name in shares if name == "easy" or shares[name].any()]]
    shares.insert(1, "hard, plain", (1 - shares.sum(axis=1)).clip(lower=0))
    return shares


def eligible_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares of easy questions and of BCQ and NCQ instances by eligibility, whatever the caps take (Fig. 5a).

    A hard question is eligible for BCQ and NCQ, and then counts twice, or for one. The teacher is not asked about all
    hard questions where the caps are full; those it answered stand for the rest. A step with hard questions of which
    nothing is known (the first one with ``schedule=next_step``) is left out.
    """
    eligible = {"bcq": "zppo/bcq/eligible_share", "ncq": "zppo/ncq/eligible_share"}
    built = [kind for kind in eligible if frame.get(f"zppo/batch/{kind}_share", pd.Series(0.0)).any()]
    names = {outcome.KINDS[kind]: eligible[kind] for kind in built}
    shares = columns(frame, {"hard": "zppo/hard_share"} | names)
    if not set(names) or not set(names) < set(shares):
        return pd.DataFrame()
    hard = shares.pop("hard")
    shares = shares.mul(hard, axis=0)
    shares = shares[shares.notna().any(axis=1) | (hard == 0)].fillna(0)
    shares.insert(0, "easy", 1 - hard)
    return shares.div(shares.sum(axis=1), axis=0)


def by_entry_accuracy(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """``zppo/buffer/<name>/from_<accuracy>`` as one column an entry accuracy, ascending; 0 before its first entry.

    Groups that lost rollouts enter at odd fractions; more than eight levels are gathered into eighths.
    """
    prefix = f"zppo/buffer/{name}/from_"
    levels = {column: float(column.removeprefix(prefix)) for column in frame if column.startswith(prefix)}
    counts = frame[sorted(levels, key=levels.__getitem__)].dropna(how="all").fillna(0).rename(columns=levels)
    if counts.shape[1] > _MAX_LEVELS:
        counts = counts.T.groupby(lambda level: math.floor(level * 8 + 1e-3) / 8).sum().T
    return counts


def by_visits(frame: pd.DataFrame) -> pd.DataFrame:
    """Entries of the whole run that left by each way, one row a number of visits, ascending.

    A run from before improvement was counted has ``evicted`` only; otherwise that is split into ``improved`` and
    ``never improved``.
    """
    ways_out = {"graduated": "zppo/buffer/graduations/after_", "evicted": "zppo/buffer/evictions/after_"}
    ways_out |= {"improved": "zppo/buffer/evictions_improved/after_"}
    counts = {
        name: {int(column.removeprefix(prefix)): frame[column].max() for column in frame if column.startswith(prefix)}
        for name, prefix in ways_out.items()
    }
    table = pd.DataFrame(counts, columns=list(ways_out)).fillna(0).sort_index()
    if not counts["improved"]:
        return table.drop(columns="improved")
    return table.assign(**{"never improved": table["evicted"] - table["improved"]}).drop(columns="evicted")


def visits_label(visits: int) -> str:
    return f"{visits} or more" if visits == MOST_VISITS_COUNTED else str(visits)
