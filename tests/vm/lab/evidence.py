#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the lab's console logs prove.

	evidence.py arm LOG OUT.json KEY=VALUE...	judges one arm; prints its line
	evidence.py report DIR				report.md and a plot a scenario, from all OUT.json
	evidence.py page DIR RESULTS.md			prints RESULTS.md, with the rows of all OUT.json
	evidence.py summary DIR				who waited for what, in a few lines
	evidence.py live NAME=LOG...			progress side by side, until SIGTERM

KEYs of an arm: scenario, title, arm, kind, control (hangs or fails), kernel, accel, options, revision (of caisson), cpus (of
this machine), pause (bound in seconds), limit, ended (0: the guest ended by itself), complaint (what the kernel complained of that isn't
part of the scenario), handler (the name of its process), verdict (the guest's own), green (OUT.json of the green arm to compare with).

An arm's outcome: `pass` and `fail` are the harness's words for whether it was as it must be; beside
that stands what happened:

	finished	the load ended well
	crawl		so it did, or was still going on, more slowly than green's
	stall		under a quarter of green's progress when that was through, whatever came later
	hang		not done in its time, with 30 seconds or more in which nothing at all was written
	error		the load failed
	none		it never started

A control must hang or stall, unless `control` says that its load fails. Lines `lab: note TEXT` go
beside the outcome.

`caisson watch` looks on in each arm. In a green one it must be silent. In a control that writes
nothing for a while, and in a probe that hangs, it must name the cycle: from the handler's task, or
a worker of the kernel, to the filesystem or swap above it.

What was not watched proves nothing: an arm of any kind fails if the guest went wrong in a way that
isn't the scenario's, if a check of its own did, or if the samples have a gap.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time as clock

STALL_PERCENT = 25  # of green's progress in the same time
HANG_SECONDS = 30  # without any progress
GAP_SECONDS = 10  # between two samples, of which there is one each half a second
NAME_SECONDS = 12  # such a pause `caisson watch --stall 10` must have named: a look takes a second
MIB_SECTORS = 2048

LINE = re.compile(r"^\[ *(\d+\.\d+)\](?:\[ *[TC]\d+\])? (.*)$")
SAMPLE = re.compile(r"lab: sample sectors=(\d+) dirty_kib=(\d+) writeback_kib=(\d+)")
HUNG = re.compile(r"INFO: task (\S+):\d+ blocked for more than")
FRAME = re.compile(r"^ (\w[\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+")


WATCH = re.compile(r"caisson: ((?:CYCLE|no cycle, but a hang) for (\d+) s: .*)")
# by a task of the handler, or by a worker of the kernel that can't send it a request
CYCLE = (r"CYCLE .* -> (?:%s\(\d+\) -> its task|its worker) \d+ .* "
         r"-> (?:(?:xfs|ext4|btrfs) /mnt|swap \S+)$")


def read_lines(path):
    """(seconds since boot, text) of the kernel's lines, in order."""
    with open(path, errors="replace") as log:
        for line in log:
            match = LINE.match(line.rstrip("\r\n"))
            if match:
                yield float(match[1]), match[2]


def hung_task(lines):
    """The first task that khungtaskd complained of: its name and frames, innermost first."""
    task, frames = None, []
    for _, text in lines:
        match = HUNG.search(text)
        if match:
            if task:
                break
            task = match[1]
        elif task:
            frame = FRAME.match(text)
            if frame:
                frames.append(frame[1])
            elif frames and "</TASK>" in text:
                break
    return {"task": task, "frames": frames} if task else None


def longest_pause(samples, end):
    """The longest time in which nothing more was written."""
    longest = 0.0
    since, last = samples[0]
    for time, mib in samples:
        if mib > last:
            longest = max(longest, time - since)
            since, last = time, mib
    return max(longest, end - since), end - since


def longest_gap(samples, end):
    """The longest time without a sample."""
    times = [0.0] + [time for time, _ in samples] + [end]
    return max(after - before for before, after in zip(times, times[1:]))


def mib_at(samples, seconds):
    """What was written SECONDS after the first sample."""
    mib = 0.0
    for time, value in samples:
        if time > seconds:
            break
        mib = value
    return mib


def read_arm(log):
    """What LOG says of the load."""
    lines = list(read_lines(log))
    start = end = None
    stuck = False
    status, samples, stacks, notes, sums = None, [], [], [], {}
    is_watched, named = False, []
    for time, text in lines:
        sample = SAMPLE.search(text)
        watch = WATCH.search(text)
        if sample:
            samples.append((time, int(sample[1]) / MIB_SECTORS))
        elif watch:
            named.append(watch[1])
        elif "caisson: watch: begin" in text:
            is_watched = True
        elif "lab: load start" in text:
            start = time
        elif "lab: load end" in text:
            end, status = time, int(text.split()[-1])
        elif "lab: load stuck" in text:
            end, stuck = time, True
        elif "lab: stack " in text:
            stacks.append(text.split("lab: stack ", 1)[1])
        elif "lab: note " in text:
            notes.append(text.split("lab: note ", 1)[1])
        elif "lab: stacks " in text:
            sums = dict(re.findall(r"(\w+)=(\d+)", text))
    arm = {"start": start, "status": status, "stuck": stuck, "stacks": stacks,
           "notes": notes, "watched": is_watched, "named": named}
    arm["hung"] = hung_task(lines)
    arm["stack_counts"] = {key: int(value) for key, value in sums.items()}
    if start is None:
        return dict(arm, seconds=None, samples=[], mib=0, pause=0, pause_at_end=0, gap=0)
    end = end if end is not None else lines[-1][0]
    samples = [(time, mib) for time, mib in samples if start - 1 <= time <= end + 1]
    base = samples[0][1] if samples else 0
    # a sample that is taken just before the start counts as the start
    samples = [(max(0.0, round(time - start, 2)), round(mib - base, 1)) for time, mib in samples]
    samples = samples or [(0.0, 0.0)]
    pause, pause_at_end = longest_pause(samples, end - start)
    arm.update(seconds=round(end - start, 1), samples=samples, mib=samples[-1][1])
    arm.update(pause=round(pause, 1), pause_at_end=round(pause_at_end, 1))
    arm.update(gap=round(longest_gap(samples, end - start), 1))
    return arm


def may_hang(arm):
    """Need its guest not end by itself? It has said that it hangs; or, of a probe, the watch has."""
    if arm["kind"] == "green":
        return False
    return arm["stuck"] or (arm["kind"] == "probe" and cycle_of(arm))


def trouble_of_any(arm):
    """Why what is seen of an arm doesn't count."""
    if arm["complaint"]:
        return "kernel: " + arm["complaint"]
    if arm["seconds"] is None:
        return "the load never started"
    if arm["ended"] != "0" and not may_hang(arm):
        return "the guest did not end; its tasks are in the log"
    if arm["ended"] == "0" and not arm["verdict"].startswith("pass"):
        return arm["verdict"] or "ended without a verdict"
    if arm["gap"] > GAP_SECONDS:
        return "not watched for %.0f s" % arm["gap"]
    if not arm["watched"]:
        return "caisson watch didn't begin"
    return ""


def trouble_of_green(arm):
    """Why a green arm isn't."""
    if arm["status"] != 0:
        return "the load did not finish"
    if arm["stacks"]:
        return "a task of the handler: " + arm["stacks"][0][:100]
    counts = arm["stack_counts"]
    if counts.get("throttle", 0) or counts.get("reclaim", 0):
        return "a task of the handler was throttled or in reclaim; which, was not told"
    if counts.get("looked", 0) == 0:
        return "no stack was looked at"
    if counts.get("longest_ms", 0) > 1000 * GAP_SECONDS:
        return "no stack was looked at for %d s" % (counts["longest_ms"] // 1000)
    if arm["named"]:
        return "a false alarm: " + arm["named"][0]
    if arm["pause"] > float(arm["bound"]):
        return "a pause of %.1f s, more than %s s" % (arm["pause"], arm["bound"])
    return ""


def share_of(arm, green):
    """Percent of green's progress in the same time, and that time."""
    time = min(green["seconds"], arm["seconds"])
    # green's last sample may be from just after its end
    green_mib = green["mib"] if time == green["seconds"] else mib_at(green["samples"], time)
    return round(100 * mib_at(arm["samples"], time) / max(green_mib, 0.1)), time


def cycle_of(arm):
    """The first right word of `caisson watch` about a control that hangs, or None."""
    pattern = re.compile(CYCLE % re.escape(arm["handler"]))
    return next((text for text in arm["named"] if pattern.match(text)), None)


def trouble_of_watch(arm):
    """What is wrong with its word about an arm that hangs."""
    if cycle_of(arm):
        return ""
    return "caisson watch didn't name the cycle: " + "; ".join(arm["named"] or ["nothing"])


def must_fail(arm):
    """Is it a control whose load must fail?"""
    return arm["kind"] == "red" and arm.get("control") == "fails"


def what_happened(arm, green):
    """finished, crawl ..., and words for it."""
    if arm["seconds"] is None:
        return "none", ""
    done = arm["status"] == 0
    if arm["status"] and must_fail(arm):
        return "error", "the load ended with status %d" % arm["status"]
    if not green or green["seconds"] is None:
        if done:
            return "finished", ""
        return ("error", "status %d" % arm["status"]) if arm["status"] else ("crawl", "")
    share, time = share_of(arm, green)
    stall = "%d %% of green's in %.1f s" % (share, time)
    slow = arm["seconds"] > 1.5 * green["seconds"]
    if done and not slow:
        return "finished", ""
    if done:
        return ("stall", stall) if share < STALL_PERCENT else ("crawl", "")
    # what has failed before green was through might still have finished in time
    if arm["status"] and arm["seconds"] < green["seconds"]:
        return "error", "the load ended with status %d" % arm["status"]
    if not arm["status"] and arm["pause"] >= HANG_SECONDS:
        return "hang", "nothing for %.0f s; %.0f MiB" % (arm["pause"], arm["mib"])
    if share < STALL_PERCENT:
        return "stall", stall
    if arm["status"]:
        return "error", "the load ended with status %d" % arm["status"]
    return "crawl", "%.0f MiB in %.0f s" % (arm["mib"], arm["seconds"])


def judge(arm, green):
    """Fills in happened, detail and outcome."""
    arm["happened"], arm["detail"] = what_happened(arm, green)
    trouble = trouble_of_any(arm)
    if not trouble and arm["kind"] == "green":
        trouble = trouble_of_green(arm)
    elif not trouble and arm["kind"] == "red":
        if not green or green["outcome"] != "pass":
            trouble = "no green arm to compare with"
        elif arm["happened"] not in (("error",) if must_fail(arm) else ("hang", "stall")):
            trouble = "the control must not get through: " + (arm["detail"] or arm["happened"])
        elif not must_fail(arm) and arm["pause"] >= NAME_SECONDS:
            trouble = trouble_of_watch(arm)
    elif not trouble and arm["happened"] == "hang":
        trouble = trouble_of_watch(arm)
    arm["outcome"] = "fail" if trouble else "pass"
    arm["detail"] = "; ".join(filter(None, [trouble or arm["detail"], *arm["notes"]]))
    if arm["kind"] == "probe" and arm["stacks"]:
        arm["detail"] += "; " + arm["stacks"][0].split(":")[0]


def seconds_of(arm):
    """As a column."""
    if arm["seconds"] is None:
        return "-"
    return ("%.1f" if arm["status"] is not None else ">%.0f") % arm["seconds"]


def line_of(arm):
    """The arm's line in the run."""
    return "%-4s  %-11s %-16s %-5s %-22s %-8s %7s s  pause %5.1f s  %s" % (
        arm["outcome"], arm["scenario"], arm["kernel"], arm["kind"], arm["arm"],
        arm["happened"], seconds_of(arm), arm["pause"], arm["detail"])


def command_arm(log, out, *pairs):
    """Judges one arm."""
    arm = dict(pair.split("=", 1) for pair in pairs)
    arm["bound"] = arm.pop("pause")
    arm.update(read_arm(log))
    green = None
    if arm["kind"] != "green" and arm["green"] and os.path.exists(arm["green"]):
        with open(arm["green"]) as file:
            green = json.load(file)
    judge(arm, green)
    with open(out, "w") as file:
        json.dump(arm, file, indent=1)
    print(line_of(arm))
    return 0 if arm["outcome"] == "pass" else 1


# --- while it runs ---

LIVE_SECONDS = 2


def state_of(log):
    """What an arm that is running, or isn't yet, has come to."""
    if not os.path.exists(log) or os.path.getsize(log) == 0:
        return "-"
    arm = read_arm(log)
    if arm["start"] is None:
        return "booting"
    if arm["status"] == 0:
        return "%4.0f MiB, done in %.1f s" % (arm["mib"], arm["seconds"])
    if arm["pause_at_end"] < 3:
        return "%4.0f MiB" % arm["mib"]
    return "%4.0f MiB, nothing for %.0f s" % (arm["mib"], arm["pause_at_end"])


def command_live(*pairs):
    """Prints a line every other second that something has changed."""
    arms = [pair.split("=", 1) for pair in pairs]
    print("   ".join("%-34s" % name for name, _ in arms).rstrip())
    last = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        line = "   ".join("%-34s" % state_of(log) for _, log in arms).rstrip()
        if line != last:
            print("%s" % line)
        last = line
        clock.sleep(LIVE_SECONDS)


# --- the report ---

COLOURS = {"green": "#2a9d4a", "red": "#d1342f", "probe": "#888888"}
DASHES = ["1", "2", "3", "4", "5"]


def plot(title, arms, path):
    """MiB written over time, all arms of a scenario on a kernel in one picture; by gnuplot."""
    script = [
        "set terminal svg size 760,420 dynamic font 'sans,13' background '#ffffff'",
        "set output '%s'" % path,
        "set title '%s'" % title.replace("'", ""),
        "set xlabel 'seconds since the load began'",
        "set ylabel 'MiB written to the stacked device'",
        "set grid lc rgb '#dddddd'",
        "set key outside below",
        "set yrange [0:*]",
    ]
    blocks, curves, counts = [], [], {}
    for number, arm in enumerate(arms):
        blocks.append("$arm%d << END\n%s\nEND" % (
            number, "\n".join("%s %s" % sample for sample in map(tuple, arm["samples"]))))
        count = counts[arm["kind"]] = counts.get(arm["kind"], -1) + 1
        curves.append("$arm%d using 1:2 with lines lw 2.5 dt %s lc rgb '%s' title '%s: %s'" % (
            number, DASHES[count % len(DASHES)], COLOURS[arm["kind"]], arm["arm"].replace("_", "-"),
            arm["happened"]))
    script = blocks + script + ["plot " + ", \\\n     ".join(curves)]
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)


def rounds_of(arms):
    """Lists of the rounds of each arm, in the order of the scenarios."""
    groups = {}
    for arm in arms:
        groups.setdefault((arm["scenario"], arm["kernel"], arm["arm"]), []).append(arm)
    return groups.values()


def series_of(kernel):
    """6.1.0-57-amd64: 6.1"""
    return ".".join(kernel.split(".")[:2])


KINDS = {"green": 1, "red": 2, "probe": 3}


def place_of(row):
    """Where in its table a row stands."""
    scenario, kernel, _, kind = row.split(" | ")[:4]
    return scenario, series_of(kernel), KINDS.get(kind, 0)


def arm_of(row):
    """Which arm it is of, on which kernel, whatever the package of that."""
    scenario, kernel, arm = row.removeprefix("| ").split(" | ")[:3]
    return scenario, series_of(kernel), arm


def merged(head, rows, page, arms):
    """Markdown lines: a table of ROWS, which are of ARMS, and of PAGE's rows that are of others."""
    measured = {(arm["scenario"], series_of(arm["kernel"]), arm["arm"]) for arm in arms}
    before = page.partition(head + "\n")[2].partition("\n\n")[0].splitlines()[1:]
    rows = [*(row for row in before if arm_of(row) not in measured), *rows]
    return [head, "|" + "---|" * (head.count("|") - 1), *sorted(rows, key=place_of)]


TABLE_HEAD = ("| scenario | kernel | arm | kind | as it must be | outcome | seconds | longest pause "
              "| | measured |")


def table(arms):
    """Rows of Markdown: an arm each, whatever the number of rounds."""
    for rounds in rounds_of(arms):
        rounds = sorted(rounds, key=lambda a: a["seconds"] or 0)
        arm = rounds[len(rounds) // 2]
        good = sum(a["outcome"] == "pass" for a in rounds)
        seconds = seconds_of(arm)
        if len(rounds) > 1:
            seconds += " (%s to %s)" % (seconds_of(rounds[0]), seconds_of(rounds[-1]))
        yield "| %s | %s | %s | %s | %s | %s | %s | %.1f s | %s | %s |" % (
            arm["scenario"], arm["kernel"], arm["arm"], arm["kind"],
            "%d of %d" % (good, len(rounds)),
            ", ".join(sorted({a["happened"] for a in rounds})), seconds,
            max(a["pause"] for a in rounds), arm["detail"].replace("|", "/"),
            ", ".join([*sorted({a["revision"] for a in rounds}), arm["cpus"] + " CPUs", arm["accel"]]))


WATCH_HEAD = "| scenario | kernel | arm | named | what it said |"


def watch_table(arms):
    """Rows of Markdown: what `caisson watch` said of each control, and of each probe that hangs."""
    for rounds in rounds_of(arms):
        if rounds[0]["kind"] == "probe":
            rounds = [arm for arm in rounds if arm["happened"] == "hang"]
        if not rounds or rounds[0]["kind"] == "green" or must_fail(rounds[0]):
            continue
        # a control may have been slow all the time, and never stood still
        said = [cycle_of(arm) for arm in rounds if cycle_of(arm) or arm["pause"] >= NAME_SECONDS]
        yield "| %s | %s | %s | %d of %d | %s |" % (
            rounds[0]["scenario"], rounds[0]["kernel"], rounds[0]["arm"],
            sum(text is not None for text in said), len(said),
            next(filter(None, said), "nothing").replace("|", "/"))


def read_arms(directory):
    """All arms of a results directory, scenario by scenario."""
    arms = []
    for name in os.listdir(directory):
        if name.endswith(".json"):
            with open(os.path.join(directory, name)) as file:
                arms.append(json.load(file))
    arms.sort(key=lambda a: (a["scenario"], a["kernel"], int(a["order"]), int(a["round"])))
    return arms


def command_report(directory):
    """report.md and the plots."""
    arms = read_arms(directory)
    out = ["# The lab's evidence", ""]
    out += merged(TABLE_HEAD, table(arms), "", arms)
    out += ["", "## What `caisson watch` said", ""]
    out += merged(WATCH_HEAD, watch_table(arms), "", arms)
    groups = {}
    for arm in arms:
        groups.setdefault((arm["scenario"], arm["kernel"]), []).append(arm)
    for (scenario, kernel), members in groups.items():
        out += ["", "## %s, Linux %s" % (members[0]["title"], kernel), ""]
        picture = "%s-%s.svg" % (scenario, kernel)
        drawn = [arm for arm in members if arm["samples"] and arm["round"] == "1"]
        if drawn:
            plot("%s, Linux %s" % (members[0]["title"], kernel), drawn,
                 os.path.join(directory, picture))
            out += ["![MiB written over time](%s)" % picture, ""]
        for arm in members:
            out.append("- **%s** (%s; %s): %s, %s s. Console: `%s`" % (
                arm["arm"], arm["kind"], arm["options"] or "defaults", arm["happened"],
                seconds_of(arm), arm["log"]))
            if arm["hung"]:
                out += ["", "  The kernel reports `%s` as hung:" % arm["hung"]["task"], "", "  ```"]
                out += ["  " + frame for frame in arm["hung"]["frames"]]
                out += ["  ```", ""]
            for stack in arm["stacks"][:3]:
                out += ["", "  Seen in the handler: `%s`" % stack]
            for text in arm["named"][:1]:
                out += ["", "  `caisson watch`: `%s`" % text]
    with open(os.path.join(directory, "report.md"), "w") as file:
        file.write("\n".join(out) + "\n")
    return 0


PAGE_HEAD = """# What the lab has shown

`tests/vm/lab/run --record` measured this and wrote it. A scenario is a stack of storage with a load. The run boots a virtual machine of one CPU for each arm of a scenario. A green arm stands on caisson and must finish. A red arm has a control in the place of caisson, which must hang or stall under the same load; in the scenario recovery, in which the server is killed, its load must fail. A probe is noted and not judged, except by what `caisson watch` says of it if it hangs. THE LAB in caisson(7) describes the scenarios and the controls. `tests/vm/lab/bisect` takes protections away one at a time; `tests/vm/lab/cut` cuts the power.

- finished: the load ended well, without a pause longer than the scenario's bound. No task hung, no task of the daemon was seen in the dirty throttle or in reclaim of a filesystem, and all data was right after everything was mounted again.
- crawl: so it did, or was still going on, but more slowly than caisson.
- stall: the control got through less than %d %% of what caisson wrote in the same time.
- hang: the control was not done in time, and wrote nothing for %d seconds or more.
- error: the control's load failed.

The seconds are medians, with the fastest and the slowest round. The pause is the longest of all rounds. The last column has the commit of caisson, the CPUs of the machine and how QEMU ran the guests. A run writes the rows of its own arms and leaves the others.
""" % (STALL_PERCENT, HANG_SECONDS)


def command_page(directory, page):
    """RESULTS.md: the rows of PAGE for arms that aren't in DIR stay."""
    arms = read_arms(directory)
    with open(page) as file:
        before = file.read()
    print(PAGE_HEAD)
    print("\n".join(merged(TABLE_HEAD, table(arms), before, arms)))
    print("\n## What `caisson watch` said\n\nIt looked on in each arm, with --stall 10. It said nothing in the green ones. "
          "Here are the controls, and the probes that hang.\n")
    print("\n".join(merged(WATCH_HEAD, watch_table(arms), before, arms)))
    return 0


def command_summary(directory):
    """For people: an arm a line, and the stack in which a control stood."""
    for arm in read_arms(directory):
        print("%-5s %-12s %-9s %6s s, %4.0f MiB   %s" % (
            arm["kind"], arm["arm"], arm["happened"], seconds_of(arm), arm["mib"], arm["title"]))
        if arm["kind"] == "green":
            print("      %d stacks of the handler's tasks looked at: %d in the dirty throttle, %d"
                  " in reclaim of a filesystem" % tuple(
                      arm["stack_counts"].get(key, 0) for key in ("looked", "throttle", "reclaim")))
        for text in arm["named"][:1]:
            print("      caisson watch says: " + text)
        for stack in arm["stacks"][:1]:
            task, _, frames = stack.partition(": ")
            print("      the handler (%s) stood in" % task.split(" ", 1)[1])
            print("\n".join("        " + frame for frame in frames.split(" < ")))
        if arm["hung"]:
            print("      and the kernel says that %s is hung, in" % arm["hung"]["task"])
            print("\n".join("        " + frame for frame in arm["hung"]["frames"][:8]))
    return 0


def main():
    """The command line."""
    commands = {"arm": command_arm, "report": command_report, "page": command_page,
                "summary": command_summary, "live": command_live}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return commands[sys.argv[1]](*sys.argv[2:])


sys.exit(main())
