"""Writes runs.jsonl and reference.json beside it: runs made by hand, and what report.json must say of them.

    python make.py && npx prettier --write reference.json        (by hand; needs numpy and scipy)

Every number is numpy's or scipy's, by the formula that stands here. The interval of the variance ratio is a bootstrap of 200,000
replicates; each end is given with the standard error that it has with the 10,000 replicates of `surefoot report`.
"""

import json
import math
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

BLOCKS, RUNS, MEMBERS = ["data-11", "data-12", "data-13", "data-14"], 12, 10
METHODS = ["vanilla", "variance-weighted-kl", "uwo"]  # the last one loses
INITIAL = {"gold": 0.455, "judge": -0.12, "standardError": 0.0266}


# ---- the runs ----------------------------------------------------------------------------------------------------------------


def make_runs():
    rng = np.random.default_rng(11)
    luck = rng.standard_t(5, (len(BLOCKS), MEMBERS))  # of a reward model: runs 10 and 11 trust members 0 and 1 again
    luck[:, :2] *= 2
    runs = []
    for b, block in enumerate(BLOCKS):
        for r in range(RUNS):
            for m, method in enumerate(METHODS):
                shared, own = luck[b, r % MEMBERS], rng.standard_normal(4)
                gain = [0.42 + 0.3 * shared, 0.3 + 0.16 * shared, -0.25 + 0.4 * shared][m] + [0.15, 0.18, 0.3][m] * own[0]
                kl = [3.05, 3.2, 2.9][m] + 0.2 * own[1]
                run = {"method": method, "block": block, "run": r, "index": (b * RUNS + r) * len(METHODS) + m}
                run |= {"member": r % MEMBERS, "seed": 1000 + r, "status": "completed", "iterations": 8, "initial": INITIAL}
                gold, judge = INITIAL["gold"] + gain, INITIAL["judge"] + 0.5 * gain + 0.25 * own[2]
                # Two decimals of the judge: equal scores must share their ranks.
                run["final"] = {"gold": round(gold, 4), "judge": round(judge, 2), "kl": round(kl, 3), "reward": round(own[3], 3)}
                steps = np.arange(1, 9)
                rise = np.sin(steps * (1.2 + 0.1 * r) / 5)
                path = lambda start, end: (start + (end - start) * rise + 0.1 * rng.standard_normal(8)).round(3)
                run["trajectory"] = {
                    "gold": path(INITIAL["gold"], gold).tolist(),
                    "judge": path(INITIAL["judge"], judge).tolist(),
                    "kl": path(0, kl).tolist(),
                }
                runs.append(run | {"seconds": 31.2})
    find = lambda method, block, r: next(x for x in runs if (x["method"], x["block"], x["run"]) == (method, block, r))
    for run, status in [(find("uwo", "data-12", 3), "failed"), (find("vanilla", "data-13", 7), "cancelled")]:
        run["status"], run["iterations"] = status, 3
        run["trajectory"] = {name: values[:3] for name, values in run["trajectory"].items()}
        del run["initial"], run["final"]
    as_it_began = find("vanilla", "data-14", 5)  # no gain is not worse
    as_it_began["final"] |= {"gold": INITIAL["gold"], "judge": INITIAL["judge"]}
    short = find("variance-weighted-kl", "data-11", 4)  # shorter than the window of five iterations
    short |= {"iterations": 3, "trajectory": {name: values[:3] for name, values in short["trajectory"].items()}}
    find("variance-weighted-kl", "data-14", 9)["trajectory"] = {}
    return runs


# ---- what report.json must say of them ---------------------------------------------------------------------------------------


def is_completed(run):
    return run["status"] == "completed"


def gains_of(runs, measure):
    return np.array([run["final"][measure] - run["initial"][measure] for run in runs if is_completed(run)])


def is_worse(run, measure):
    return not is_completed(run) or run["final"][measure] < run["initial"][measure]


def peaks_of(runs, measure):
    """Largest moving mean of five iterations, and that less the last one; a shorter trajectory is one window."""
    found = []
    for run in runs:
        values = run["trajectory"].get(measure, []) if is_completed(run) else []
        if values:
            means = np.convolve(values, np.ones(min(5, len(values))) / min(5, len(values)), "valid")
            found.append((means.max(), means.max() - means[-1]))
    return np.array(found).T


def gain_summary(gains):
    n, mean, sd = len(gains), gains.mean(), gains.std(ddof=1)
    return {
        "n": n,
        "mean": mean,
        "ci95": list(stats.t.interval(0.95, n - 1, loc=mean, scale=sd / math.sqrt(n))),
        "sd": sd,
        "sdCi95": [sd * math.sqrt((n - 1) / stats.chi2.ppf(p, n - 1)) for p in (0.975, 0.025)],
        "median": np.quantile(gains, 0.5),
        "quartiles": [np.quantile(gains, 0.25), np.quantile(gains, 0.75)],
        "min": gains.min(),
        "max": gains.max(),
        "cvar10": np.sort(gains)[: math.ceil(n / 10)].mean(),
    }


def worse_summary(runs, measure):
    count, n = sum(is_worse(run, measure) for run in runs), len(runs)
    low, high = stats.binomtest(count, n).proportion_ci(0.95, "exact")  # Clopper–Pearson
    return {"count": count, "n": n, "p": count / n, "ci95": [low, high]}


def block_summaries(runs, measure):
    summaries = []
    for block in BLOCKS:
        own = [run for run in runs if run["block"] == block]
        gains = gains_of(own, measure)
        gain = {"n": len(gains), "mean": gains.mean(), "sd": gains.std(ddof=1)}
        worse = {"count": sum(is_worse(run, measure) for run in own), "n": len(own)}
        summaries.append({"block": block, "n": len(own), "gain": gain, "worse": worse})
    return summaries


def method_summary(runs, measure):
    peaks, drops = peaks_of(runs, measure)
    kls = np.array([run["final"]["kl"] for run in runs if is_completed(run)])
    return {
        "n": len(runs),
        "gain": gain_summary(gains_of(runs, measure)),
        "worse": worse_summary(runs, measure),
        "peak": {"mean": peaks.mean(), "gain": (peaks - INITIAL[measure]).mean()},
        "dropFromPeak": {"mean": drops.mean(), "max": drops.max()},
        "kl": {"mean": kls.mean(), "min": kls.min(), "max": kls.max()},
        "failed": sum(run["status"] == "failed" for run in runs),
        "blocks": block_summaries(runs, measure),
        "seeds": [run["seed"] for run in runs],
    }


def bootstrap_interval(a, b, units, drawn=200_000, replicates=10_000):
    """Percentiles of var(a) / var(b) over resamples of whole units, each with its standard error (of its rank, carried over)."""
    labels = sorted(set(units))
    rng = np.random.default_rng(5)
    times = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), drawn)[:, [labels.index(unit) for unit in units]]

    def squares(x):  # the sum of squares of every resample; its n - 1 cancels in the ratio
        x = x - x.mean()
        return times @ x**2 - (times @ x) ** 2 / times.sum(axis=1)

    ratios = squares(a) / squares(b)

    def quantile(p):
        off = math.sqrt(p * (1 - p) / replicates)
        low, value, high = np.quantile(ratios, [p - off, p, p + off])
        return {"value": value, "error": (high - low) / 2}

    return [quantile(0.025), quantile(0.975)]


def compare(a_runs, b_runs, measure):
    partner = {(run["block"], run["run"]): run for run in b_runs}
    pairs = [(run, partner[run["block"], run["run"]]) for run in a_runs if (run["block"], run["run"]) in partner]
    both = [pair for pair in pairs if all(map(is_completed, pair))]
    a, b = (gains_of(side, measure) for side in zip(*both))
    difference = b - a
    n = len(both)
    blocks = [difference[[run["block"] == block for run, _ in both]].mean() for block in BLOCKS]
    over_blocks = stats.t.interval(0.95, len(blocks) - 1, loc=np.mean(blocks), scale=stats.sem(blocks))
    units = [f'{run["block"]} {run["member"]}' for run, _ in both]
    only = lambda first, second: sum(is_worse(pair[first], measure) and not is_worse(pair[second], measure) for pair in pairs)
    a_only, b_only = only(0, 1), only(1, 0)
    brown_forsythe = stats.levene(gains_of(a_runs, measure), gains_of(b_runs, measure), center="median")
    table = [[sum(is_worse(x, measure) for x in runs), sum(not is_worse(x, measure) for x in runs)] for runs in (a_runs, b_runs)]
    kls = [np.mean([run["final"]["kl"] for run in side]) for side in zip(*both)]
    interval = bootstrap_interval(a, b, units)
    by_pair = bootstrap_interval(a, b, [f"{i:03}" for i in range(n)])
    # The reference would tell a bootstrap over pairs from one over units.
    assert any(abs(unit["value"] - pair["value"]) > 10 * unit["error"] for unit, pair in zip(interval, by_pair))
    matched = max(kls) <= 1.15 * min(kls)
    assert n >= 30 and matched  # so that the verdict is a matter of the interval alone
    assert all(abs(end["value"] - 1) > 10 * end["error"] for end in interval)
    low, high = (end["value"] for end in interval)
    return {
        "a": a_runs[0]["method"],
        "b": b_runs[0]["method"],
        "pairs": n,
        "rewardModels": len(set(units)),
        "pairedGain": {
            "mean": difference.mean(),
            "ci95": list(stats.t.interval(0.95, n - 1, loc=difference.mean(), scale=stats.sem(difference))),
            "overBlocks": {"blocks": len(blocks), "mean": np.mean(blocks), "ci95": list(over_blocks)},
        },
        "pairedSd": {"a": a.std(ddof=1), "b": b.std(ddof=1)},
        "varianceRatio": {"value": a.var(ddof=1) / b.var(ddof=1), "ci95": interval},
        "brownForsythe": {"F": brown_forsythe.statistic, "p": brown_forsythe.pvalue},
        "pitmanMorganP": stats.pearsonr(a + b, a - b).pvalue,
        "worse": {
            "mcnemar": {"aOnly": a_only, "bOnly": b_only, "p": stats.binomtest(a_only, a_only + b_only, 0.5).pvalue},
            "fisherP": stats.fisher_exact(table).pvalue,
        },
        "pairedKl": dict(zip("ab", kls)),
        "klMatched": bool(matched),
        "verdict": "steadier" if low > 1 else "less steady" if high < 1 else "no difference shown",
    }


def reference(runs):
    counted = [[run for run in runs if run["method"] == name and run["status"] != "cancelled"] for name in METHODS]
    completed = [run for run in runs if is_completed(run)]
    judge, gold = ([run["final"][measure] for run in completed] for measure in ("judge", "gold"))
    r = stats.pearsonr(judge, gold)
    compare_all = lambda measure: [compare(counted[0], other, measure) for other in counted[1:]]
    both = [(is_worse(run, "gold"), is_worse(run, "judge")) for run in completed]
    return {
        "measure": "gold",
        "initial": {"mean": INITIAL["gold"], "standardError": INITIAL["standardError"]},
        "methods": {name: method_summary(own, "gold") for name, own in zip(METHODS, counted)},
        "comparisons": compare_all("gold"),
        "judgeAgainstGold": {
            "n": len(completed),
            "pearson": r.statistic,
            "pearsonCi95": list(r.confidence_interval(0.95)),  # Fisher's
            "spearman": stats.spearmanr(judge, gold).statistic,
        },
        "byJudge": {
            "methods": {
                name: {"gain": gain_summary(gains_of(own, "judge")), "worse": worse_summary(own, "judge")}
                for name, own in zip(METHODS, counted)
            },
            "comparisons": compare_all("judge"),
            "worse": {
                "both": both.count((True, True)),
                "goldOnly": both.count((True, False)),
                "judgeOnly": both.count((False, True)),
                "neither": both.count((False, False)),
            },
        },
    }


here = Path(__file__).parent
made = make_runs()
(here / "runs.jsonl").write_text("".join(json.dumps(run, separators=(",", ":")) + "\n" for run in made))
content = {"origin": f"make.py with scipy {scipy.__version__}, numpy {np.__version__}", "report": reference(made)}
(here / "reference.json").write_text(json.dumps(content, indent=2, default=lambda value: value.item()) + "\n")
