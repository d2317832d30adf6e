#!/usr/bin/env python3
"""Accuracy of LightGBM and of an SVM with RBF kernel on the splits of `llfm reproduce`.

    pip install lightgbm scikit-learn numpy
    LLFM_DATA=/path/to/sets benches/peers.py [--slow] [SET ...]
    benches/peers.py --verify target/release/llfm

Run r of a set that is split by seed tests on the third that split seed r draws; the others have their
public test rows, LightGBM runs with seeds 0, 1, …, and the SVM, which draws nothing, once. Settings are
chosen on a random fifth of the training rows, for each split anew, never on test rows; then all training
rows are fitted.

LightGBM: learning rate .1, bagging .8, features .8 (MNIST .2); leaves of 2 to 127 (covtype 127 or 255,
MNIST 15 or 31) and rounds by validation log loss, early stopping after 50. SVM: features standardised by
the training rows; C = 10^(i/2) from .1 to 1000 and γ = 2^j/features by validation accuracy, walking from
C 10, j 0 to the best of 8 neighbours until none is better, in steps of two, then of one; of more than
20,000 training rows 10,000 serve to choose. It runs on MNIST with --slow only, on covtype never. One
thread; seconds are CPU time, choosing + fitting all rows, mean of the runs.

--verify shows that the split is llfm's, row by row, for every set and seed used: `llfm train --split-seed`
gets rows whose one feature is the label where we say the row trains, and the negated label where we say
it tests. It must be right on every row it trains on and wrong on every row it tests on, which fails with
one row astray. This passed for banana and magic04, seeds 0 to 4, and covtype, seed 0.
"""
import argparse
import gzip
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

DATA = os.environ.get("LLFM_DATA", "")
EMBEDDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
# An SVM's time grows with the square of the rows: of more than MANY, CHOOSING are chosen on.
MANY, CHOOSING = 20_000, 10_000
ROUNDS, PATIENCE = 2_000, 50
LEAVES = [2, 7, 15, 31, 63, 127]
WORD = (1 << 64) - 1


def generator(seed):
    """Words of Xoshiro256++, its state filled by SplitMix64."""
    state = []
    for _ in range(4):
        seed = seed + 0x9E3779B97F4A7C15 & WORD
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & WORD
        z = (z ^ z >> 27) * 0x94D049BB133111EB & WORD
        state.append(z ^ z >> 31)
    a, b, c, d = state
    while True:
        s = a + d & WORD
        yield (s << 23 | s >> 41) + a & WORD
        t = b << 17 & WORD
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        d = d << 45 & WORD | d >> 19


def below(words, bound):
    """A number below `bound`: high half of a product, the biased draws repeated."""
    threshold = (1 << 64) % bound
    while True:
        product = next(words) * bound
        if product & WORD >= threshold:
            return product >> 64


def split(n, fraction, seed):
    """The sorted rows that stay and those held out, as src/data/split.rs draws them."""
    rows, words = list(range(n)), generator(seed)
    for last in range(n - 1, 0, -1):
        other = below(words, last + 1)
        rows[last], rows[other] = rows[other], rows[last]
    held = math.floor(n * fraction + 0.5)
    return np.sort(rows[held:]), np.sort(rows[:held])


def unpacked(folder, path):
    """The bytes of a file, packed by gzip or not."""
    path = os.path.join(folder, path)
    with open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz") as file:
        return file.read()


def csv(folder, path):
    table = np.array([line.split(",") for line in unpacked(folder, path).decode().split()])
    return table[:, :-1].astype(np.float64), table[:, -1]


def libsvm(path, features):
    lines = unpacked(DATA, path).decode().splitlines()
    x, y = np.zeros((len(lines), features)), []
    for row, line in enumerate(lines):
        label, *pairs = line.split()
        y.append(label)
        for index, value in (pair.split(":") for pair in pairs):
            x[row, int(index) - 1] = float(value)
    return x, np.array(y)


def idx(name):
    x = np.frombuffer(unpacked(DATA, f"mnist/{name}-images-idx3-ubyte"), np.uint8, offset=16)
    y = np.frombuffer(unpacked(DATA, f"mnist/{name}-labels-idx1-ubyte"), np.uint8, offset=8)
    return x.reshape(len(y), -1).astype(np.float64), y


def thirds(x, y):
    """The split of a seed: x and y to train on, x and y to test on."""
    def of(seed):
        train, test = split(len(y), 1 / 3, seed)
        return x[train], y[train], x[test], y[test]
    return of


def letter():
    x, y = csv(EMBEDDED, "letter.csv")
    return lambda _: (x[:15_000], y[:15_000], x[15_000:], y[15_000:])


def ijcnn1():
    parts = *libsvm("ijcnn1/ijcnn1", 22), *libsvm("ijcnn1/ijcnn1.t", 22)
    return lambda _: parts


def covtype():
    x, y = csv(DATA, "covtype/covtype.data")
    return thirds(x, y == "2")


def mnist():
    parts = *idx("train"), *idx("t10k")
    return lambda _: parts


# set: reader, whether split by seed, runs of LightGBM, its leaves to choose from and share of features
SETS = {
    "banana": (lambda: thirds(*csv(EMBEDDED, "banana.csv")), True, 5, LEAVES, 1.0),
    "magic04": (lambda: thirds(*csv(EMBEDDED, "magic04.csv")), True, 5, LEAVES, 0.8),
    "letter": (letter, False, 3, LEAVES, 0.8),
    "ijcnn1": (ijcnn1, False, 5, LEAVES, 0.8),
    "covtype": (covtype, True, 1, [127, 255], 0.8),
    "mnist": (mnist, False, 1, [15, 31], 0.2),
}
# What --verify checks: rows, seeds.
SPLITS = {"banana": (5_300, 5), "magic04": (19_020, 5), "covtype": (581_012, 1)}


def spent(since):
    return time.process_time() - since


def note(text):
    print(text, file=sys.stderr, flush=True)


def choosing(x, y, seed):
    """Four fifths of the rows and the fifth to choose on."""
    fit, valid = split(len(y), 0.2, seed)
    return x[fit], y[fit], x[valid], y[valid]


class LightGbm:
    def __init__(self, leaves, features, classes):
        self.leaves, self.features, self.classes = leaves, features, classes

    def train(self, leaves, rounds, seed, x, y, *valid):
        import lightgbm
        task = {"objective": "binary", "metric": "binary_logloss"}
        if self.classes > 2:
            task = {"objective": "multiclass", "metric": "multi_logloss", "num_class": self.classes}
        settings = {**task, "num_leaves": leaves, "learning_rate": 0.1, "feature_fraction": self.features,
                    "bagging_fraction": 0.8, "bagging_freq": 1, "seed": seed, "deterministic": True,
                    "force_col_wise": True, "num_threads": 1, "verbosity": -1}
        data = lightgbm.Dataset(x, y)
        sets = [lightgbm.Dataset(*valid, reference=data)] if valid else None
        stop = [lightgbm.early_stopping(PATIENCE, verbose=False)] if valid else None
        return lightgbm.train(settings, data, rounds, valid_sets=sets, callbacks=stop)

    def choose(self, x, y, seed):
        """Leaves and rounds."""
        tried = []
        for leaves in self.leaves:
            model = self.train(leaves, ROUNDS, seed, *choosing(x, y, seed))
            tried.append((next(iter(model.best_score["valid_0"].values())), leaves, model.best_iteration))
        return min(tried)[1:]

    def measure(self, chosen, seed, x, y, x_test, y_test):
        """Accuracy in percent, log loss and seconds to fit."""
        start = time.process_time()
        model = self.train(*chosen, seed, x, y)
        seconds = spent(start)
        p = model.predict(x_test, num_threads=1)
        p = p if p.ndim == 2 else np.stack([1 - p, p], axis=1)
        of_label = np.maximum(p[np.arange(len(y_test)), y_test], 1e-15)
        return 100 * np.mean(p.argmax(axis=1) == y_test), -np.mean(np.log(of_label)), seconds


class Svm:
    def train(self, i, j, x, y):
        from sklearn.svm import SVC
        return SVC(C=10 ** (i / 2), gamma=2.0**j / x.shape[1], cache_size=1000).fit(x, y)

    def choose(self, x, y, seed):
        """i and j of C and γ."""
        if len(y) > MANY:
            _, some = split(len(y), CHOOSING / len(y), seed)
            x, y = x[some], y[some]
        x, y, x_valid, y_valid = choosing(x, y, seed)
        scores = {}

        def score(point):
            if point not in scores:
                scores[point] = np.mean(self.train(*point, x, y).predict(x_valid) == y_valid)
            return scores[point]

        found = (2, 0)
        for step in (2, 1):
            best = None
            while found != best:
                best = i, j = found
                near = itertools.product((i - step, i, i + step), (j - step, j, j + step))
                # The present point first: equals do not move it.
                found = max([best, *(point for point in near if -2 <= point[0] <= 6)], key=score)
        return found

    def measure(self, chosen, _, x, y, x_test, y_test):
        """Accuracy in percent, no log loss, and seconds to fit."""
        start = time.process_time()
        model = self.train(*chosen, x, y)
        seconds = spent(start)
        return 100 * np.mean(model.predict(x_test) == y_test), None, seconds


def standardised(x, x_test):
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = np.inf
    return (x - mean) / deviation, (x_test - mean) / deviation


def measured(name, of, peer, by_seed, runs):
    """Accuracies, log losses, and mean seconds to choose and to fit."""
    results, choices, chosen = [], [], None
    for run in range(runs):
        x, y, x_test, y_test = of(run)
        classes = np.unique(y)
        y, y_test = np.searchsorted(classes, y), np.searchsorted(classes, y_test)
        if isinstance(peer, Svm):
            x, x_test = standardised(x, x_test)
        if by_seed or run == 0:
            start = time.process_time()
            chosen = peer.choose(x, y, run)
            choices.append(spent(start))
        results.append(peer.measure(chosen, run, x, y, x_test, y_test))
        note(f"{name}, {type(peer).__name__}, run {run}: {chosen} chosen, accuracy {results[-1][0]:.2f}")
    accuracies, losses, seconds = zip(*results)
    return accuracies, losses, f"{statistics.mean(choices):.1f} + {statistics.mean(seconds):.1f}"


def spread(values, digits):
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def compare(names, slow):
    import lightgbm
    import sklearn
    print("| set | runs | LightGBM | log loss | seconds | SVM | seconds |\n|---|---|---|---|---|---|---|")
    for name in names:
        reader, by_seed, runs, leaves, features = SETS[name]
        of = reader()
        peer = LightGbm(leaves, features, len(np.unique(of(0)[1])))
        accuracies, losses, seconds = measured(name, of, peer, by_seed, runs)
        row = f"| {name} | {runs} | {spread(accuracies, 2)} | {spread(losses, 4)} | {seconds} |"
        if name == "covtype" or name == "mnist" and not slow:
            print(f"{row} – | – |", flush=True)
            continue
        accuracies, _, seconds = measured(name, of, Svm(), by_seed, runs if by_seed else 1)
        print(f"{row} {spread(accuracies, 2)} | {seconds} |", flush=True)
    print(f"\nPython {sys.version.split()[0]}, lightgbm {lightgbm.__version__}, scikit-learn {sklearn.__version__}, "
          f"numpy {np.__version__}")


def verify(llfm):
    """Fails unless llfm trains and tests on the rows we say."""
    for name, (n, seeds) in SPLITS.items():
        for seed in range(seeds):
            _, test = split(n, 1 / 3, seed)
            labels = np.where(np.arange(n) % 2 == 0, 1, -1)
            features = labels.copy()
            features[test] *= -1
            with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
                file.writelines(f"{x},{y}\n" for x, y in zip(features, labels))
                file.flush()
                command = [llfm, "train", file.name, "--method", "fm", "--test-fraction", repr(1 / 3),
                           "--split-seed", str(seed), "--epochs", "4", "--json", "--quiet"]
                lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            result = json.loads(lines.splitlines()[-1])
            right = [result[part]["accuracy"] for part in ("train", "test")]
            print(f"{name}, seed {seed}: accuracy {right[0]} in training, {right[1]} in testing", flush=True)
            if right != [1, 0]:
                sys.exit("the splits differ: expected 1 and 0")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all where left out")
    parser.add_argument("--slow", action="store_true", help="the SVM on MNIST too")
    parser.add_argument("--verify", metavar="LLFM", help="only check the splits against this llfm")
    arguments = parser.parse_args()
    unknown = set(arguments.sets) - set(SETS)
    if unknown:
        parser.error(f"unknown set {', '.join(sorted(unknown))}: expected some of {', '.join(SETS)}")
    if arguments.verify:
        verify(arguments.verify)
    else:
        compare(arguments.sets or list(SETS), arguments.slow)


if __name__ == "__main__":
    main()
