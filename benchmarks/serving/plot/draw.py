"""Draws requests/s of every server as bars, by model: `python draw.py RESULT.json PICTURE.svg`. `report.py` runs it."""

# pyright: basic, reportMissingImports=false
# runs in an environment with matplotlib, which the workspace does not have

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "modelmill"
mpl.rcParams["svg.fonttype"] = "none"  # text stays text: a fifth of the size

from matplotlib import pyplot as plt  # noqa: E402

COLOURS = {"no-op": "#9aa0a6", "ours": "#1a73e8", "reported": "#8ab4f8", "peer": "#c5221f"}
WORDS = {"no-op": "no-op", "ours": "Modelmill, one worker", "reported": "Modelmill, two processes", "peer": "peers"}
PANELS = (
    ("row-64", "one row, 64 connections"),
    ("json", "1,000 rows, JSON"),
    ("binary", "1,000 rows, Arrow or V2 binary"),
)


def medians(rounds, model, workload):
    forms, kinds = {}, {}
    for one in rounds:
        if (one["model"], one["workload"]) == (model, workload):
            forms.setdefault(one["server"], {}).setdefault(one["form"], []).append(one["rps"])
            kinds[one["server"]] = one["kind"]
    best = {server: max(statistics.median(found) for found in several.values()) for server, several in forms.items()}
    return best, kinds


def panel(axes, rounds, model, workload):
    best, kinds = medians(rounds, model, workload)
    names = sorted((name for name in best if best[name] > 0), key=lambda name: best[name])
    if not names:
        axes.set_axis_off()
        return
    bars = axes.barh(names, [best[name] for name in names], color=[COLOURS[kinds[name]] for name in names])
    axes.bar_label(bars, labels=[f"{best[name]:,.0f}" for name in names], padding=3, fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(best[names[0]] / 2, best[names[-1]] * 4)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def main():
    source, target = sys.argv[1:3]
    rounds = json.loads(Path(source).read_text(encoding="utf-8"))["rounds"]
    models = sorted({one["model"] for one in rounds})
    heights = [max(2, len(medians(rounds, models[0], workload)[0])) for workload, _ in PANELS]
    size = (5 * len(models), sum(heights) * 0.26 + 3)
    figure, grid = plt.subplots(
        len(PANELS), len(models), figsize=size, squeeze=False, height_ratios=heights, layout="constrained"
    )
    for axes, (workload, words) in zip(grid, PANELS, strict=True):
        for place, model in zip(axes, models, strict=True):
            panel(place, rounds, model, workload)
            place.set_title(f"{model}: {words}", fontsize=9)
    for place in grid[-1]:
        place.set_xlabel("requests per second (log)", fontsize=8)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    figure.legend(
        handles,
        [WORDS[kind] for kind in COLOURS],
        loc="outside lower center",
        ncols=min(4, 2 * len(models)),
        fontsize=8,
        frameon=False,
    )
    figure.savefig(target, metadata=None if target.endswith(".png") else {"Date": None})


main()
