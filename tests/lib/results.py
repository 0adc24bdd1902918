#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums up a run of tests/run: results.py DIR

DIR/results names files in which meson has a line of JSON for each test; DIR/wanted names the tests
that were to run. Exit status: 0 none has failed, 1 one has, or there was none.
"""

import json
import os
import sys


def read_lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def main(directory):
    must_run = os.environ.get("CAISSON_TESTS_MUST_RUN") == "1"
    # each test's result and output; one that meson knows nothing of has failed
    tests = {name: ("FAIL", "fail: it was not run") for name in read_lines(f"{directory}/wanted")}
    for path in read_lines(f"{directory}/results"):
        for test in map(json.loads, read_lines(path)):
            tests[test["name"].rsplit(" / ")[-1]] = test["result"], test["stdout"]

    passed, failed, skipped = 0, [], []
    for name, (result, output) in tests.items():
        said = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
        if result == "OK":
            passed += 1
            if output:
                print(f"{name}:\n  " + output.rstrip().replace("\n", "\n  "))
        elif result == "SKIP" and not must_run:
            skipped.append(f"skipped: {name}: {said.get('skip')}")
        else:
            failed.append(f"failed: {name}: {said.get('skip') or said.get('fail') or result}")
    print("\n".join(failed + skipped + [
        f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped"]))
    return bool(failed) or not tests


sys.exit(main(sys.argv[1]))
