#!/usr/bin/env python3
"""What LLFM-JO costs beside our own FM, one thread, 50 anchors: the ratio of their rows per second.

    LLFM_DATA=/path/to/sets benches/cost.py target/release/llfm [SET ...]

By the count of multiplications a row of JO costs k + (m + k)/(C(2d + 4)) rows of FM, k the mean number
of active anchors over the run, m anchors, C output channels, d factors. The two are trained in turn,
three times; medians. Needs nothing but Python.
"""
import json
import os
import statistics
import subprocess
import sys

DATA = os.environ.get("LLFM_DATA", "")
EMBEDDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
ANCHORS, FACTORS = 50, 10
# set: arguments, output channels, epochs
SETS = {
    "magic04": ([f"{EMBEDDED}/magic04.csv.gz"], 1, 10),
    "letter": ([f"{DATA}/letter/letter.scale.gz"], 26, 8),
    "ijcnn1": ([f"{DATA}/ijcnn1/ijcnn1.gz"], 1, 8),
    "mnist": ([f"{DATA}/mnist/train-images-idx3-ubyte.gz"], 10, 2),
    "covtype": ([f"{DATA}/covtype/covtype.data.gz", "--positive", "2"], 1, 2),
}


def run(llfm, name, method):
    """Rows per second, mean active anchors and peak megabytes of one run."""
    arguments, _, epochs = SETS[name]
    sizes = [] if method == "fm" else ["--anchors", str(ANCHORS)]
    command = [llfm, "train", *arguments, "--method", method, *sizes, "--factors", str(FACTORS),
               "--epochs", str(epochs), "--threads", "1", "--json", "--quiet"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    active = statistics.mean(event["mean_active"] for event in events if event["event"] == "epoch")
    return events[-1]["rows_per_second"], active, events[-1]["peak_memory_bytes"] / 1e6


def main():
    llfm, names = sys.argv[1], sys.argv[2:] or list(SETS)
    print("| set | fm, rows/s | llfm-jo, rows/s | active anchors | ratio | by the count | peak MB of llfm-jo |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        turns = [(run(llfm, name, "fm"), run(llfm, name, "llfm-jo")) for _ in range(3)]
        fm = statistics.median(fm[0] for fm, _ in turns)
        jo = statistics.median(jo[0] for _, jo in turns)
        active, peak = turns[0][1][1:]
        count = active + (ANCHORS + active) / (SETS[name][1] * (2 * FACTORS + 4))
        print(f"| {name} | {fm:,.0f} | {jo:,.0f} | {active:.2f} | {fm / jo:.2f} | {count:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
