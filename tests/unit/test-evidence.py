#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-evidence.py EVIDENCE: how the lab judges an arm (tests/vm/lab/evidence.py), by console logs
made here: what is not as it must be fails, whatever else is."""
import functools
import json
import os
import subprocess
import sys
import tempfile

program = sys.argv[1]
directory = tempfile.TemporaryDirectory()
failures = []


def log_of(*, seconds, mib, end=None, stuck=False, upto=None, gap=None, tail=(), watched=True):
    """A console log: MIB written evenly in the first UPTO of SECONDS, sampled each half second but
    in GAP (from, to)."""
    start, lines, upto = 10.0, [], upto or seconds
    lines.append((start - 1, "caisson: watch: begin: " if watched else "no watch"))
    lines.append((start, "lab: load start"))
    for half in range(int(seconds * 2) + 1):
        time = half / 2
        if gap and gap[0] < time < gap[1]:
            continue
        sectors = int(2048 * mib * min(time / upto, 1))
        lines.append((start + time, "lab: sample sectors=%d dirty_kib=0 writeback_kib=0" % sectors))
    if end is not None:
        lines.append((start + seconds, "lab: load end %d" % end))
    if stuck:
        lines.append((start + seconds, "lab: load stuck"))
    lines += [(start + seconds, text) for text in tail]
    return "".join("[%12.6f] %s\n" % line for line in lines)


WATCHED = "lab: stacks looked=100 throttle=0 reclaim=0"
FINISHED = dict(seconds=10, mib=100, upto=None, end=0, tail=[WATCHED])
NAMED = ("caisson: CYCLE for 11 s: lab-load(1) writes xfs /mnt -> loop0 -> fuse /run/store -> naive(2) "
         "-> its task 3 (naive) waits until there are fewer dirty pages (balance_dirty_pages) -> xfs /mnt")
STUCK = dict(seconds=60, mib=10, upto=1, stuck=True, tail=[WATCHED, NAMED])


def arm_of(name, kind, log, **values):
    """What evidence.py makes of LOG."""
    pairs = {"scenario": "s", "kernel": "k", "arm": name, "kind": kind, "limit": "60",
             "pause": "20", "round": "1", "order": "1", "title": "t", "ended": "0",
             "complaint": "", "handler": "naive", "revision": "r", "cpus": "2", "accel": "kvm",
             "verdict": "pass passed=3 failed=0 skipped=0", "green": ""}
    pairs.update(values)
    paths = [os.path.join(directory.name, name + suffix) for suffix in (".log", ".json")]
    with open(paths[0], "w") as file:
        file.write(log)
    done = subprocess.run([program, "arm", *paths, *("%s=%s" % pair for pair in pairs.items())],
                          capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    with open(paths[1]) as file:
        arm = json.load(file)
    assert (arm["outcome"] == "pass") == (done.returncode == 0), done.stdout
    return arm


def expect(what, arm, outcome, happened, detail=""):
    got = (arm["outcome"], arm["happened"])
    good = got == (outcome, happened) and detail in arm["detail"]
    print("%-6s  %s" % ("ok" if good else "not ok", what))
    if not good:
        failures.append("%s: %s, %s: '%s'" % (what, *got, arm["detail"]))


def green(what, outcome, happened, detail="", *, values=None, **log):
    arm = arm_of("g", "green", log_of(**dict(FINISHED, **log)), **(values or {}))
    expect(what, arm, outcome, happened, detail)


def hanging(kind, what, outcome, happened, detail="", *, values=None, **log):
    against = dict(green=os.path.join(directory.name, "good.json"))
    arm = arm_of(kind, kind, log_of(**dict(STUCK, **log)), **dict(against, **(values or {})))
    expect(what, arm, outcome, happened, detail)


red = functools.partial(hanging, "red")
probe = functools.partial(hanging, "probe")

green("a green arm that finishes", "pass", "finished")
green("it has a note", "pass", "finished", "worst pause", tail=["lab: note worst pause 3 ms", WATCHED])
green("its load fails", "fail", "error", end=1)
green("its load isn't found", "fail", "error", end=127)
green("it doesn't finish", "fail", "crawl", end=None, stuck=True)
green("it pauses too long", "fail", "finished", "a pause of", seconds=40, upto=10)
green("nobody looked at its stacks", "fail", "finished", "no stack", tail=[])
green("nobody looked at them for a while", "fail", "finished", "no stack was looked at for 11 s",
      tail=[WATCHED + " longest_ms=11000"])
green("its handler was throttled", "fail", "finished", "a task of the handler",
      tail=["lab: stack throttle 42 queue-0: balance_dirty_pages", WATCHED])
green("its handler was in reclaim, unnamed", "fail", "finished", "which, was not told",
      tail=["lab: stacks looked=100 throttle=0 reclaim=2"])
green("the kernel complained", "fail", "finished", "kernel: BUG", values={"complaint": "BUG: x"})
green("a check of it failed", "fail", "finished", "fail passed=2",
      values={"verdict": "fail passed=2 failed=1 skipped=0"})
green("it has no verdict", "fail", "finished", "without a verdict", values={"verdict": ""})
green("its guest doesn't end", "fail", "finished", "did not end", values={"ended": "124"})
green("nobody watched it for a while", "fail", "finished", "not watched", seconds=30, upto=30,
      gap=(5, 20))
green("caisson watch says that it hangs", "fail", "finished", "a false alarm", tail=[WATCHED, NAMED])
green("caisson watch isn't there", "fail", "finished", "didn't begin", watched=False)
expect("it never starts", arm_of("g", "green", "[ 1.0] vm: booted\n"), "fail", "none", "never")

arm_of("good", "green", log_of(**FINISHED))
red("a red arm that hangs", "pass", "hang", "nothing for 59 s")
red("its guest doesn't end either", "pass", "hang", values={"ended": "124", "verdict": ""})
red("it stalls", "pass", "stall", "12 % of green's in 10.0 s", mib=90, upto=75)
red("caisson watch doesn't say why", "fail", "hang", "didn't name the cycle: nothing", tail=[WATCHED])
red("caisson watch names another cycle", "fail", "hang", "didn't name the cycle: CYCLE",
    tail=[WATCHED, NAMED.replace("naive(2)", "other(2)")])
red("caisson watch finds no cycle", "fail", "hang", "didn't name the cycle: no cycle",
    tail=[WATCHED, NAMED.replace("CYCLE", "no cycle, but a hang")])
red("it finishes", "fail", "finished", "must not get through",
    **dict(FINISHED, stuck=False))
red("it finishes late", "fail", "crawl", "must not get through",
    **dict(FINISHED, seconds=30, stuck=False))
red("it has hardly begun when green is through, and finishes", "pass", "stall",
    **dict(FINISHED, seconds=50, stuck=False))
red("it is slow", "fail", "crawl", "must not get through", mib=300, upto=60)
red("its load fails at once", "fail", "error", "status 127", seconds=0.5, mib=0, end=127,
    stuck=False)
FAILS = {"control": "fails"}
red("it fails, as it must", "pass", "error", "status 4", seconds=3, mib=30, upto=2, end=4, stuck=False, values=FAILS)
red("it fails late, as it must", "pass", "error", end=4, stuck=False, values=FAILS)
red("it must fail, and hangs", "fail", "hang", "must not get through", values=FAILS)
red("it must fail, and finishes", "fail", "finished", "must not get through", values=FAILS,
    **dict(FINISHED, stuck=False))
red("its load fails after a hang", "pass", "stall", end=1, stuck=False)
red("its guest panics", "fail", "hang", "kernel: Kernel panic", stuck=False,
    values={"complaint": "Kernel panic", "ended": "1", "verdict": ""})
red("its guest is gone before the load is stuck", "fail", "hang", "did not end", stuck=False,
    values={"ended": "124", "verdict": ""})
BY_WORKER = ("caisson: CYCLE for 11 s: swap /dev/loop0 -> loop0 -> its worker 9 (kworker/u2:1+loop0) "
             "waits for memory (mempool_alloc) -> swap /dev/loop0")
probe("a probe that hangs", "pass", "hang")
probe("its guest is past telling", "pass", "hang", stuck=False, values={"ended": "1", "verdict": ""})
probe("caisson watch names a worker", "pass", "hang", tail=[WATCHED, BY_WORKER])
probe("caisson watch doesn't say why", "fail", "hang", "didn't name the cycle", tail=[WATCHED])
probe("nobody says that it hangs", "fail", "hang", "did not end", stuck=False, tail=[WATCHED],
      values={"ended": "1", "verdict": ""})
probe("it finishes", "pass", "finished", **dict(FINISHED, stuck=False))
red("a check of it failed", "fail", "hang", "fail passed=1",
    values={"verdict": "fail passed=1 failed=1 skipped=0"})
red("nobody watched it for a while", "fail", "hang", "not watched", gap=(20, 40))
red("it has nothing to be compared with", "fail", "crawl", "no green arm", values={"green": ""})
arm_of("bad", "green", log_of(**dict(FINISHED, end=1)))
red("what it is compared with failed", "fail", "hang", "no green arm",
    values={"green": os.path.join(directory.name, "bad.json")})

BEFORE = """# Results

| scenario | kernel | arm | kind | as it must be | outcome | seconds | longest pause | | measured |
|---|---|---|---|---|---|---|---|---|---|
| a | 6.1.0-1 | caisson | green | another arm |
| p | 6.1.0-1 | old | probe | another arm |
| p | 6.1.0-1 | caisson | green | an older package |
| p | 7.2.1 | caisson | green | another kernel |
| z | 6.1.0-1 | naive | red | another arm |

## Watch

| scenario | kernel | arm | named | what it said |
|---|---|---|---|---|
| p | 6.1.0-1 | old | 1 of 1 | another arm |
| p | 6.1.0-1 | calm | 1 of 1 | it has hung |

"""
for turn, time in enumerate((30, 10, 20)):
    arm_of("page-%d" % turn, "green", log_of(**dict(FINISHED, seconds=time, upto=time)), scenario="p", arm="caisson",
           round=str(turn), kernel="6.1.0-2", revision="abc")
arm_of("page-calm", "probe", log_of(**FINISHED), scenario="p", arm="calm", kernel="6.1.0-2")
arm_of("page-stuck", "probe", log_of(**STUCK), scenario="p", arm="stuck", kernel="6.1.0-2",
       green=os.path.join(directory.name, "good.json"))
page_file = os.path.join(directory.name, "page")
with open(page_file, "w") as file:
    file.write(BEFORE)
page = subprocess.run([program, "page", directory.name, page_file], capture_output=True, text=True, check=True).stdout
CAISSON = "| p | 6.1.0-2 | caisson | green | 3 of 3 | finished | 20.0 (10.0 to 30.0) | 0.5 s |  | abc, 2 CPUs, kvm |\n"
for what, wanted in (
        ("a median, its range and where it was measured", CAISSON),
        ("the rows of other arms, in order", CAISSON + "| p | 6.1.0-1 | old | probe | another arm |\n"),
        ("those of another kernel", "| p | 7.2.1 | caisson | green | another kernel |\n| s |"),
        ("those of other scenarios", "|\n| a | 6.1.0-1 | caisson | green | another arm |\n"),
        ("what the watch said of a probe that hangs", "| p | 6.1.0-2 | stuck | 1 of 1 | CYCLE"),
        ("what it said of another", "| p | 6.1.0-1 | old | 1 of 1 | another arm |")):
    print("%-6s  a page has %s" % ("ok" if wanted in page else "not ok", what))
    if wanted not in page:
        failures.append("a page has no %s" % what)
for what in ("an older package", "it has hung"):
    print("%-6s  a page hasn't: %s" % ("not ok" if what in page else "ok", what))
    if what in page:
        failures.append("a page has: %s" % what)

directory.cleanup()
for failure in failures:
    print("FAILED: " + failure, file=sys.stderr)
sys.exit(1 if failures else 0)
