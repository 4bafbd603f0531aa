"""The look of all figures."""

import matplotlib

styled = matplotlib.rc_context(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "grid.color": "#E5E5E5",
        "legend.frameon": False,
        "legend.fontsize": 8,
    }
)
"""Decorates a function that draws."""
