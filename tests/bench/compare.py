#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""allmem bench beside llama-bench: the same file and threads or device, interleaved, as ratios.

    compare.py ALLMEM LLAMA_BENCH MODEL.gguf... [--rounds 5] [--prompt 512] [--gen 64] [--depth 0 ...]
               [--threads 2] [--memory] [--backend cpu|vulkan] [--bandwidth GB/S]

A round runs both programs once on each model at each depth, the order changing from round to round,
so that a busy moment of the machine hits both. Printed: the median of each side, and median, minimum
and maximum of the rounds' ratios. With the device's peak bandwidth also which share of it allmem's
decode needs, if a token reads the model's file and the session's state once.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def run_allmem(args, model, depth):
    command = [args.allmem, "bench", "-m", model, "--json", "--prompt", str(args.prompt), "--gen",
               str(args.gen), "--depth", str(depth), "--threads", str(args.threads),
               "--backend", args.backend]
    if not args.memory:
        command.append("--no-memory")
    result = run(command)
    return (result["prefill"]["tokens_per_second"], result["decode"]["tokens_per_second"],
            result["state_bytes"])


def run_llama(args, model, depth):
    layers = "0" if args.backend == "cpu" else "999"
    rows = run([args.llama_bench, "-m", model, "-p", str(args.prompt), "-n", str(args.gen), "-d",
                str(depth), "-t", str(args.threads), "-r", "1", "-o", "json", "-ngl", layers])
    prefill = next(row["avg_ts"] for row in rows if row["n_prompt"])
    decode = next(row["avg_ts"] for row in rows if row["n_gen"])
    return prefill, decode


def show(args, model, depth, rounds):
    for i, what in enumerate((f"pp{args.prompt}", f"tg{args.gen}")):
        ratios = [ours[i] / theirs[i] for ours, theirs in rounds]
        ours = statistics.median(ours[i] for ours, _ in rounds)
        theirs = statistics.median(theirs[i] for _, theirs in rounds)
        line = (f"{os.path.basename(model)[:28]:28} {depth:7} {what:8} {ours:8.1f} {theirs:8.1f} "
                f"{statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f}")
        if i == 1 and args.bandwidth:
            read = ours * (os.path.getsize(model) + rounds[0][0][2]) / 1e9
            line += f"  {100 * read / args.bandwidth:.0f} % of {args.bandwidth:g} GB/s"
        print(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("allmem")
    parser.add_argument("llama_bench")
    parser.add_argument("models", nargs="+")
    for name, value in (("rounds", 5), ("prompt", 512), ("gen", 64), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--depth", type=int, nargs="+", default=[0])
    parser.add_argument("--memory", action="store_true", help="allmem with its adapter")
    parser.add_argument("--backend", choices=("cpu", "vulkan"), default="cpu")
    parser.add_argument("--bandwidth", type=float, help="the device's peak, in GB/s")
    args = parser.parse_args()

    figures = {(model, depth): [] for model in args.models for depth in args.depth}
    for turn in range(args.rounds):
        for (model, depth), rounds in figures.items():
            sides = [run_allmem, run_llama] if turn % 2 == 0 else [run_llama, run_allmem]
            by_side = {side: side(args, model, depth) for side in sides}
            rounds.append((by_side[run_allmem], by_side[run_llama]))
        print(f"round {turn + 1} of {args.rounds}", file=sys.stderr)

    print(f"{args.backend}, {args.threads} threads, {args.rounds} rounds")
    print(f"{'model':28} {'depth':>7} {'':8} {'allmem':>8} {'llama':>8} {'ratio':>6} {'least':>6} "
          f"{'most':>6}")
    for (model, depth), rounds in figures.items():
        show(args, model, depth, rounds)


main()
