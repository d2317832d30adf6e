#!/usr/bin/env python3
"""The results table of the README: every method on every set, with the defaults, through the CLI.

    LLFM_DATA=/path/to/sets benches/accuracy.py target/release/llfm [SET ...] > table.md

Seeded runs (the seed also splits banana, magic04 and covtype, a third to test); the public splits of
the others. Test rows are scored once, after training. Needs nothing but Python.
"""
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EMBEDDED = os.path.join(HERE, "..", "data")
METHODS = ["fm", "llfm-do", "llfm-apl", "llfm-jo"]
THIRD = ["--test-fraction", "0.333333"]
# set: training file, other arguments, runs, metric
SETS = {
    "banana": ("{embedded}/banana.csv.gz", THIRD, 5, "accuracy"),
    "magic04": ("{embedded}/magic04.csv.gz", THIRD, 5, "accuracy"),
    "letter": ("{data}/letter/letter.scale.gz", ["--test", "{data}/letter/letter.scale.t.gz"], 3, "accuracy"),
    "ijcnn1": ("{data}/ijcnn1/ijcnn1.gz", ["--test", "{data}/ijcnn1/ijcnn1.t.gz"], 5, "accuracy"),
    "mnist": ("{data}/mnist/train-images-idx3-ubyte.gz", ["--test", "{data}/mnist/t10k-images-idx3-ubyte.gz"], 1, "accuracy"),
    "covtype": ("{data}/covtype/covtype.data.gz", ["--positive", "2"] + THIRD, 1, "accuracy"),
    "movielens": ("{data}/movielens-100k/ua.base.gz", ["--test", "{data}/movielens-100k/ua.test.gz"], 5, "rmse"),
    "netflix5k5k": ("{data}/netflix5k5k/train.tsv.gz", ["--format", "ratings", "--test", "{data}/netflix5k5k/test.tsv.gz"], 1, "rmse"),
}


def run(llfm, name, method, seed):
    """The result event of one training run."""
    train, arguments, _, _ = SETS[name]
    folders = {"embedded": EMBEDDED, "data": os.environ.get("LLFM_DATA", "")}
    command = [llfm, "train", train, *arguments, "--method", method, "--seed", str(seed),
               "--split-seed", str(seed), "--json", "--quiet"]
    command = [word.format(**folders) for word in command]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return json.loads(lines[-1])


def cell(results, metric):
    """Mean ± deviation over the runs."""
    values = [result["test"][metric] * (100 if metric == "accuracy" else 1) for result in results]
    digits = 2 if metric == "accuracy" else 4
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main():
    llfm, names = sys.argv[1], sys.argv[2:] or list(SETS)
    print("| set | runs |", " | ".join(METHODS), "| log loss of llfm-jo | active anchors | train seconds |")
    print("|---|---|" + "---|" * (len(METHODS) + 3))
    for name in names:
        train, _, runs, metric = SETS[name]
        if "{data}" in train and "LLFM_DATA" not in os.environ:
            print(f"{name}: left out, LLFM_DATA is not set", file=sys.stderr)
            continue
        results = {method: [run(llfm, name, method, seed) for seed in range(runs)] for method in METHODS}
        cells = [cell(results[method], metric) for method in METHODS]
        ours = results["llfm-jo"]
        mean = lambda of: statistics.mean(of(result) for result in ours)
        log_loss = f"{mean(lambda r: r['test']['log_loss']):.4f}" if metric == "accuracy" else "–"
        row = [name, str(runs), *cells, log_loss, f"{mean(lambda r: r['mean_active']):.1f}",
               f"{mean(lambda r: r['seconds']['train']):.1f}"]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
