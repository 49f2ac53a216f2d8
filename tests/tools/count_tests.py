# SPDX-License-Identifier: Apache-2.0
"""Counts test cases in the logs of `meson test`: python3 count_tests.py TESTLOG.json...

A cmocka program reports each case as "[       OK ] name" or "[  FAILED  ] name", a shell test as
"ok N - name" or "not ok N - name". A program that failed without a failed case (it crashed, timed out
or leaked) counts as one failure, and so does a program that ran no case at all. The last line is
"N passed, N failed".
"""
import json
import re
import sys

PASSED = re.compile(r"^(?:\[ +OK \]|ok\b)", re.M)
FAILED = re.compile(r"^(?:\[  FAILED  \] (?!\d+ test)|not ok\b)", re.M)


def count(test):
    """(passed, failures as text) of one line of the log."""
    output = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
    passed = len(PASSED.findall(output))
    # cmocka names a failed case when it fails and again in its summary
    failed = sorted({line for line in output.splitlines() if FAILED.match(line)})
    if not failed and test["result"] not in ("OK", "SKIP"):
        failed = [test["result"]]
    if not failed and not passed and test["result"] != "SKIP":
        failed = ["ran no test"]
    return passed, [f"{test['name']}: {line}" for line in failed]


def main(logs):
    total, failures = 0, []
    for log in logs:
        try:
            with open(log, encoding="utf-8", errors="replace") as file:
                tests = [json.loads(line) for line in file if line.strip()]
        except (OSError, ValueError) as error:
            failures.append(f"{log}: {error}")
            continue
        if not tests:
            failures.append(f"{log}: no test ran")
        for test in tests:
            passed, failed = count(test)
            total += passed
            failures += failed
    for failure in failures:
        print(failure)
    print(f"{total} passed, {len(failures)} failed")
    return 1 if failures else 0


sys.exit(main(sys.argv[1:]))
