#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""burst.py MOUNTPOINT SERVER-PID: which of the server's metadata workers serve, after a burst of many clients. Each thread
that does something switches: what /proc counts for the workers is held against what they did before."""

import glob
import os
import sys

BURST = 12  # clients, more than there are workers
AFTER = 8
ROUNDS = 150

mountpoint, server = sys.argv[1:]


def switches():
    """By worker: how often it has gone to sleep."""
    found = {}
    for task in glob.glob(f"/proc/{server}/task/*"):
        with open(f"{task}/comm", encoding="ascii") as file:
            name = file.read().strip()
        if not name.startswith("meta-"):
            continue
        with open(f"{task}/status", encoding="ascii") as file:
            found[name] = sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return found


def work(number):
    os.mkdir(f"{mountpoint}/client-{number}")
    for i in range(ROUNDS):
        os.mkdir(f"{mountpoint}/client-{number}/{i}")
        os.rmdir(f"{mountpoint}/client-{number}/{i}")
    os.rmdir(f"{mountpoint}/client-{number}")


def clients(count):
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            work(number)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0, "a client failed"


clients(BURST)
before = switches()
clients(AFTER)
served = {name: count - before[name] for name, count in switches().items()}
idle = [name for name, count in served.items() if count == 0]
print(f"{len(served)} workers, went to sleep: {sorted(served.values())}")
assert len(served) > 2
assert not idle, f"{idle} serve nobody any more"

# one that waits for each answer: a request wakes one worker at most, and there are four in a round
before = sum(switches().values())
clients(1)
woken = sum(switches().values()) - before
print(f"a lone client's {ROUNDS} rounds: {woken}")
assert woken < 5 * ROUNDS, "a request wakes more than one worker"
