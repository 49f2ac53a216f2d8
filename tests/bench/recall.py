#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a model recalls of facts planted in a text, by how far back they stand, without any help of the store.

  tests/bench/recall.py ALLMEM MODEL.gguf TEXT OTHER [--tokens N --window W --keep B --merge G --facts F --sets K]

A set is an excerpt of TEXT with F sentences "The secret word of NAME is WORD." spread evenly over it, and behind it a question
and its answer for each, in an order of chance. `allmem eval` reads it all; what is measured is the NLL of WORD in the answer. A
fact counts as recalled where each of WORD's tokens has more than half of the probability: then greedy decoding says it. The memory
"reset" is that of an excerpt of OTHER, in which the facts do not stand, of as many tokens. The memory alone merges into as many
places more as sessions have for kept tokens.
"""
import argparse
import math
import os
import random
import subprocess
import sys
import tempfile

from worth import buckets, has_adapter

FIRST = "Marisol Tobias Henrike Anselm Ludmila Ferdinand Ottilie Casimir Rosalind Evander Philippa Leopold".split()
LAST = "Vantreight Okonski Dalgaard Pemberley Zubiri Hathersage Quintanar Wolverton Brancusi Ellingsen Tarkanian Moravec".split()
WORDS = ("violet falcon copper meadow thunder lantern velvet harbor pepper marble candle forest silver anchor butter castle dragon "
         "garden hammer island jungle kettle ladder mirror needle orange pencil rocket saddle tunnel walnut window").split()


def options(args):
    """Name, options and whether another text's memory is read."""
    kept, alone = ["--keep", str(args.keep)], ["--keep", "0"]
    merged, none = ["--merge", str(args.merge)], ["--merge", "0"]
    own = ["--mode", "memory" if has_adapter(args.model) else "window"]
    yield "full attention", ["--mode", "full"], False
    yield "window and sinks", ["--mode", "window"] + alone + none, False
    yield "memory alone", own + alone, False
    yield "memory alone, reset", own + alone, True
    yield "kept tokens, no memory", ["--mode", "window"] + kept + none, False
    yield "kept tokens and memory", own + kept + merged, False
    yield "kept tokens and memory, reset", own + kept + merged, True


def tokens(args, text):
    command = [args.allmem, "tokenize", "-m", args.model, "-"]
    return len(subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.split())


def make(args, chance, filler):
    """A set's text, and for each fact the tokens between it and its question and those of the answer's word, [from, to)."""
    people = chance.sample([f"{a} {b}" for a in FIRST for b in LAST], args.facts)
    facts = list(zip(people, chance.sample(WORDS, args.facts)))
    parts, at = [], 0
    for i, (name, word) in enumerate(facts):
        end = filler.index("\n", len(filler) * (i + 1) // (args.facts + 1)) + 1
        parts += [filler[at:end], f"\nThe secret word of {name} is {word}.\n\n"]
        at = end
    text = "".join(parts) + filler[at:] + "\n"
    places = [None] * args.facts
    for i in chance.sample(range(args.facts), args.facts):
        name, word = facts[i]
        sentence = f"The secret word of {name} is"
        asked = text + f"\nQuestion: What is the secret word of {name}?\nAnswer: {sentence}"
        places[i] = text[: text.index(sentence)], asked, f"{asked} {word}"
        text = asked + f" {word}.\n"
    counts = [[tokens(args, before) for before in place] for place in places]
    return text, tokens(args, text), [(b - a, b, c) for a, b, c in counts]


def measure(args, folder):
    """name -> [set][fact] of (distance, NLL, recalled)"""
    chance, source, other = random.Random(1), open(args.text).read(), open(args.other).read()
    size, results = 4 * args.tokens, {}
    for k in range(args.sets):
        begin = source.index("\n", (len(source) - size) * k // max(args.sets - 1, 1)) + 1
        text, count, places = make(args, chance, source[begin : begin + size])
        files = [os.path.join(folder, name) for name in ("own", "other")]
        at = other.index("\n", (len(other) - 2 * size) * k // args.sets) + 1
        for path, content in zip(files, (text, other[at : at + 2 * size])):
            with open(path, "w", encoding="utf8", newline="") as f:
                f.write(content)
        for name, chosen, of_other in options(args):
            single = buckets(args, chosen, count, 1, files[0], files[1] if of_other else None)
            nll = {b["from"]: b["nll"] for b in single}
            results.setdefault(name, []).append(
                [(d, sum(nll[i] for i in range(b, c)), all(nll[i] < math.log(2) for i in range(b, c))) for d, b, c in places])
            print(f"set {k}, {name}: {results[name][-1]}", file=sys.stderr, flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("allmem", "model", "text", "other"):
        parser.add_argument(name)
    for name, value in (("tokens", 6144), ("window", 512), ("keep", 1024), ("merge", 256), ("facts", 10), ("sets", 4), ("threads", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(args, folder)
    distances = [sum(s[i][0] for s in results["full attention"]) / args.sets for i in range(args.facts)]
    print("| tokens back, about | " + " | ".join(f"{d:.0f}" for d in distances) + " | all |\n|---|" + "---|" * (args.facts + 1))
    for name, sets in results.items():
        columns = [[s[i] for s in sets] for i in range(args.facts)]
        columns.append([fact for s in sets for fact in s])
        cells = [f"{sum(f[2] for f in c)}/{len(c)}, {sum(f[1] for f in c) / len(c):.1f}" for c in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
