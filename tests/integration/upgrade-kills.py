#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""upgrade-kills.py ROUNDS COMMAND...: kills one process of a daemon in the middle of each upgrade

COMMAND mounts, and returns; its last argument is the mount point. Each kill is of the old keeper, its
successor or that one's server, at a random moment after the old server was stopped. Then a client of
the mount must be served. If nobody would take over from its server, COMMAND is run again.
"""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time

CAISSON = os.environ["CAISSON"]
LATEST_S = 0.03  # an upgrade takes less, from there to its end
SEED = random.randrange(1 << 32)


def status(mountpoint):
    asked = subprocess.run([CAISSON, "status", "--json", mountpoint], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, check=False)
    return json.loads(asked.stdout) if asked.returncode == 0 else None


def protected(mountpoint, command):
    """The status, when somebody would take over from the server."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = status(mountpoint)
        if found and not found["keeper_alive"]:
            subprocess.run(command, check=True)
        elif found and found["recovery"] == "on":
            return found
        time.sleep(0.02)
    sys.exit(f"upgrade-kills: not protected after 30 s (seed {SEED})")


def stat(pid, field):
    """A field of /proc/PID/stat after the name, or None."""
    try:
        with open(f"/proc/{pid}/stat") as line:
            return line.read().rsplit(")", 1)[1].split()[field]
    except OSError:
        return None


def state(pid):
    return stat(pid, 0)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listed:
            return [int(child) for child in listed.read().split()]
    except OSError:
        return []


def find_successor(mountpoint, before, keeper):
    """The new process whose first argument says so, and that has a server, or None.

    The one that starts it has the arguments of KEEPER, its parent, and ends.
    """
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or pid in before:
            continue
        try:
            with open(f"/proc/{pid}/cmdline") as line:
                words = line.read().split("\0")
        except OSError:
            continue
        if (len(words) > 2 and words[1].startswith("--take-over") and mountpoint in words and
                children(pid) and stat(pid, 1) != str(keeper)):
            return int(pid)
    return None


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_one(who, mountpoint, command):
    """Returns who is the keeper then."""
    old = protected(mountpoint, command)
    before, successor = set(os.listdir("/proc")), None
    os.kill(old["keeper_pid"], signal.SIGHUP)
    end = time.monotonic() + 20
    while not successor and time.monotonic() < end:
        successor = find_successor(mountpoint, before, old["keeper_pid"])
    if not successor:
        sys.exit(f"upgrade-kills: there is no successor: {status(mountpoint)} (seed {SEED})")
    while state(old["pid"]) in ("S", "R", "D") and time.monotonic() < end:
        pass
    moment = time.monotonic() + random.random() * LATEST_S
    while time.monotonic() < moment:
        pass
    victims = {"keeper": [old["keeper_pid"]], "successor": [successor],
               "server": children(successor)[:1]}[who]
    for pid in victims:
        kill(pid)
    client = subprocess.run(["timeout", "30", "touch", f"{mountpoint}/after"], check=False)
    if client.returncode:
        sys.exit(f"upgrade-kills: {who} killed: a client got status {client.returncode} "
                 f"(seed {SEED})")
    now = status(mountpoint)
    if not now or not now["keeper_alive"]:
        return "nobody"
    return {old["keeper_pid"]: "the old one", successor: "the successor"}.get(now["keeper_pid"],
                                                                              "another")


def main():
    rounds, command = int(sys.argv[1]), sys.argv[2:]
    random.seed(SEED)
    for who in ("keeper", "successor", "server"):
        then = collections.Counter(kill_one(who, command[-1], command) for _ in range(rounds))
        print(f"upgrade-kills: {rounds} times the {who} was killed; the keeper then:", dict(then))
    protected(command[-1], command)


if __name__ == "__main__":
    main()
