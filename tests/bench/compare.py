#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""allmem bench beside llama-bench: the same file and threads, interleaved, as ratios.

    compare.py ALLMEM LLAMA_BENCH MODEL.gguf... [--rounds 5] [--prompt 512] [--gen 64] [--depth 0]
               [--threads 2] [--memory]

A round runs both programs once on each model, the order changing from round to round, so that a
busy moment of the machine hits both. Printed: the median of each side, and median, minimum and
maximum of the rounds' ratios.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run_allmem(args, model):
    command = [args.allmem, "bench", "-m", model, "--json", "--prompt", str(args.prompt), "--gen",
               str(args.gen), "--depth", str(args.depth), "--threads", str(args.threads)]
    if not args.memory:
        command.append("--no-memory")
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result["prefill"]["tokens_per_second"], result["decode"]["tokens_per_second"]


def run_llama(args, model):
    command = [args.llama_bench, "-m", model, "-p", str(args.prompt), "-n", str(args.gen), "-d",
               str(args.depth), "-t", str(args.threads), "-r", "1", "-o", "json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    prefill = next(row["avg_ts"] for row in rows if row["n_prompt"])
    decode = next(row["avg_ts"] for row in rows if row["n_gen"])
    return prefill, decode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("allmem")
    parser.add_argument("llama_bench")
    parser.add_argument("models", nargs="+")
    for name, value in (("rounds", 5), ("prompt", 512), ("gen", 64), ("depth", 0), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--memory", action="store_true", help="allmem with its adapter")
    args = parser.parse_args()

    figures = {model: [] for model in args.models}
    for turn in range(args.rounds):
        for model in args.models:
            sides = [run_allmem, run_llama] if turn % 2 == 0 else [run_llama, run_allmem]
            by_side = {side: side(args, model) for side in sides}
            figures[model].append((by_side[run_allmem], by_side[run_llama]))
        print(f"round {turn + 1} of {args.rounds}", file=sys.stderr)

    print(f"depth {args.depth}, {args.threads} threads, {args.rounds} rounds")
    print(f"{'model':28} {'':8} {'allmem':>8} {'llama':>8} {'ratio':>6} {'least':>6} {'most':>6}")
    for model, rounds in figures.items():
        for i, what in enumerate((f"pp{args.prompt}", f"tg{args.gen}")):
            ratios = [ours[i] / theirs[i] for ours, theirs in rounds]
            ours = statistics.median(ours[i] for ours, _ in rounds)
            theirs = statistics.median(theirs[i] for _, theirs in rounds)
            print(f"{os.path.basename(model)[:28]:28} {what:8} {ours:8.1f} {theirs:8.1f} "
                  f"{statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f}")


main()
