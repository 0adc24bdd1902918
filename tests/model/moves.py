#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a request's state may change to: tests/model/moves.py table | replay TRACE

table           moves.h, which the model is checked with, and the comment of daemon/serve/request.h agree, and
                the models make each of them
replay TRACE    each change that a daemon has made (trace.c) is one that moves.h has, and begins where the
                last one of the same slot has ended; and the common ones are there

Exit status: 0 so it is, 1 it isn't, 2 usage.
"""

import array
import collections
import pathlib
import re
import sys

MODEL_DIR = pathlib.Path(__file__).resolve().parent
STATES = ("FREE", "FETCH", "RUN", "GATE", "IO", "QUEUED", "REPLY")  # enum request_state
NOT_MODELLED = {("FETCH", "FREE")}  # of a slot that gets no request
COMMON = {("FREE", "FETCH"), ("FETCH", "RUN"), ("RUN", "IO"), ("IO", "RUN"), ("RUN", "REPLY"),
          ("RUN", "QUEUED"), ("QUEUED", "RUN")}
RECORDED = 1 << 31  # see trace.c


def read(path):
    return path.read_text(encoding="utf-8")


def of_table():
    return set(re.findall(r"^#define MAY_([A-Z]+)_([A-Z]+)\s+1$", read(MODEL_DIR / "moves.h"), re.M))


def of_header():
    header = read(MODEL_DIR.parents[1] / "daemon/serve/request.h")
    states = re.search(r"enum request_state \{(.*?)\};", header, re.S).group(1)
    if tuple(re.findall(r"REQUEST_([A-Z]+)", states)) != STATES + ("STATES",):
        sys.exit("request.h: its states are others than moves.py knows")
    return set(re.findall(r"^ \*\t([A-Z]+)\s*→ ([A-Z]+)\b", header, re.M))


def of_model():
    models = read(MODEL_DIR / "caisson.pml") + read(MODEL_DIR / "two-ways.pml")
    return set(re.findall(r"moves\(([A-Z]+), ([A-Z]+)\)", models))


def complain(what, moves):
    for start, end in sorted(moves):
        print(f"{start} -> {end}: {what}")
    return len(moves)


def check_table():
    table = of_table()
    wrong = complain("in moves.h, and not in request.h", table - of_header())
    wrong += complain("in request.h, and not in moves.h", of_header() - table)
    wrong += complain("in moves.h, and never made by a model", table - of_model() - NOT_MODELLED)
    print(f"{len(table)} transitions, in request.h, moves.h and the models alike" if not wrong else "they differ")
    return not wrong


def replay(path):
    table, at, seen, wrong = of_table(), {}, collections.Counter(), 0
    records = array.array("I")
    records.frombytes(pathlib.Path(path).read_bytes())
    for number, record in enumerate(records):
        if not record & RECORDED:
            break
        slot, start, end = record >> 8 & 0x7fffff, STATES[record >> 4 & 15], STATES[record & 15]
        seen[start, end] += 1
        if (start, end) not in table:
            wrong += 1
            print(f"record {number}, slot {slot}: {start} -> {end}: unknown to the model")
        if at.get(slot, "FREE") != start:
            wrong += 1
            print(f"record {number}, slot {slot}: goes on from {start}, and was {at.get(slot, 'FREE')}")
        at[slot] = end
        if wrong > 10:
            break
    wrong += complain("never seen: the load is too small", COMMON - set(seen))
    for (start, end), count in sorted(seen.items()):
        print(f"{start:>8} -> {end:<8}{count:>9}")
    print(f"{sum(seen.values())} transitions of {len(at)} slots replayed, {wrong} wrong")
    return not wrong


def main(arguments):
    if arguments == ["table"]:
        return 0 if check_table() else 1
    if len(arguments) == 2 and arguments[0] == "replay":
        return 0 if replay(arguments[1]) else 1
    print(__doc__)
    return 0 if arguments == ["--help"] else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
