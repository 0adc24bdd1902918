#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark's report.

	report.py DIR results|scale	makes DIR/results.json or DIR/scale.json from a run's DIR/samples.jsonl,
					and from both of them DIR/report.md with its plots
	report.py DIR page		prints RESULTS.md from DIR/results.json

Exit status: 1 when --scale has seen a caissond grow.
"""
import json
import os
import sys

import growth
import plots
import targets
from results import assemble, best, is_caisson, is_peer, read_lines

CACHED = ("caisson-writeback", "caisson-writethrough")
# those of the picture that tells most
CORE = ("randread-4k-qd1", "randwrite-4k-qd1", "randread-4k-qd32", "randwrite-4k-qd32",
        "read-128k-qd8", "write-128k-qd8", "read-1m-qd4", "write-1m-qd4", "write-4k-fdatasync",
        "first-writes-4k-qd32")
PLACES = {"disk": "On the disk", "memory": "In memory"}
REMARKS = {"memory": "The targets are ratios on a disk. Here, where ext4 has next to nothing to wait for, they show "
                     "what the way through a daemon costs at most."}
PAGE_BACKENDS = ("ext4", "caisson", "caisson-dev") + targets.HP_DAEMON + ("qemu-fuse",)
PAGE_HEAD = """# How fast caisson is

`sudo tests/bench/run --record` measured this and wrote it. The run compares caisson with ext4 itself and, if they can be had, with two peers, libfuse's passthrough_hp and QEMU's FUSE export. The client, fio, has the same CPUs as the server. `tests/bench/run --help` lists what else can be measured.
"""


def rate(value, in_bytes=False):
    """IOPS, or MiB/s, for a table."""
    if in_bytes:
        return "%.0f MiB/s" % (value / (1 << 20))
    return "%.1fk" % (value / 1000) if value >= 1000 else "%.0f" % value


def is_large(job):
    """Counted in bytes?"""
    return "-128k-" in job or "-1m-" in job


def rate_of(row, job):
    """The one that is usual for the job."""
    return rate(row["bytes_s"], True) if is_large(job) and "bytes_s" in row else rate(row["iops"])


def micros(value):
    """A latency."""
    return "%.0f" % value if value < 10000 else "%.1fk" % (value / 1000)


def order_of(results, place):
    """The backends that were measured there, in the order of the list."""
    names = [name for name, places in results["backends"].items()
             if places.get(place, {}).get("state") == "measured"]
    return sorted(names, key=lambda name: list(results["backends"]).index(name))


def header(first, columns):
    """Two Markdown lines."""
    return ["| %s | %s |" % (first, " | ".join(columns)), "|---|" + "---|" * len(columns)]


def table(first, rows, columns, cell):
    """A row a job; empty rows and columns are left out."""
    columns = [column for column in columns if any(cell(row, column) for row in rows)]
    rows = [row for row in rows if any(cell(row, column) for column in columns)]
    if not rows:
        return []
    return header(first, columns) + ["| %s | %s |" % (
        row, " | ".join(cell(row, column) or "-" for column in columns)) for row in rows] + [""]


def rates_table(medians, jobs, names):
    """IOPS, and what that is of ext4's."""
    def cell(job, name):
        row = medians[job].get(name)
        if not row:
            return ""
        base = medians[job].get("ext4")
        share = " (%.2f)" % (row["iops"] / base["iops"]) if base and name != "ext4" else ""
        return rate_of(row, job) + share
    return table("median (× ext4)", jobs, names, cell)


def against_table(medians, jobs):
    """caisson, ext4, the best peer, the best of caisson's ways."""
    out = []
    for job in jobs:
        rows = medians[job]
        own, peer = rows.get("caisson"), best(rows, among=is_peer)
        way = best(rows, among=lambda name: is_caisson(name) and name not in CACHED)
        if not own or not ("ext4" in rows or peer):
            continue
        out.append("| %s | %s | %s | %s | %s | %s |" % (
            job, rate_of(own, job),
            "%.2f" % (own["iops"] / rows["ext4"]["iops"]) if "ext4" in rows else "-",
            "%.2f" % (own["iops"] / peer[1]) if peer else "-", peer[0] if peer else "-",
            "%.2f × ext4 (%s)" % (way[1] / rows["ext4"]["iops"], way[0])
            if "ext4" in rows and way[0] != "caisson" else "-"))
    if not out:
        return []
    return header("job", ["caisson", "× ext4", "× best peer", "which is", "best way of caisson, if another"]) + out + [""]


def latency_table(medians, jobs, names):
    """p50 / p99 / p99.9 in microseconds."""
    def cell(job, name):
        row = medians[job].get(name, {})
        text = " / ".join(micros(row[key]) for key in ("p50_us", "p99_us", "p999_us") if key in row)
        if "sync_p50_us" in row:
            text += "; sync " + " / ".join(
                micros(row[key]) for key in ("sync_p50_us", "sync_p99_us", "sync_p999_us") if key in row)
        return text
    return table("µs: p50 / p99 / p99.9", jobs, names, cell)


def cpu_table(medians, jobs, names):
    """CPU seconds a GiB: the server's, and the whole machine's with client and kernel."""
    def cell(job, name):
        row = medians[job].get(name, {})
        if "machine_cpu_s_gib" not in row:
            return ""
        return "%.2f / %.2f" % (row["server_cpu_s_gib"], row["machine_cpu_s_gib"])
    return table("CPU s/GiB: server / machine", jobs, names, cell)


def mib(kib):
    """For a table."""
    return "%.0f" % (kib / 1024)


def memory_table(results, place, names):
    """The servers' memory after all jobs."""
    ends = {line["backend"]: line for line in results["memory"]
            if line["place"] == place and line["when"] == "end"}
    rows = [(name, ends[name]) for name in names if name in ends]
    if not rows:
        return []
    return header("server, MiB", ["peak (VmHWM)", "locked (VmLck)", "stated bound", "threads"]) + [
        "| %s | %s | %s | %s | %d |" % (
            name, mib(line["peak_kib"]), mib(line["locked_kib"]),
            mib(line["bound_kib"]) if line["bound_kib"] else "none", line["all_threads"])
        for name, line in rows] + [""]


def spread(medians):
    """How far apart the rounds were, in a sentence."""
    shares = sorted((row["iops_max"] - row["iops_min"]) / row["iops"]
                    for rows in medians.values() for row in rows.values() if row["rounds"] > 1)
    if not shares:
        return "One round: differences of less than a fifth may be noise."
    return "Rounds differ by %.0f %% at the median, and by less than %.0f %% in nine of ten measurements." % (
        100 * shares[len(shares) // 2], 100 * shares[9 * len(shares) // 10])


def place_section(results, place, directory):
    """All tables of a place, and its pictures."""
    medians, about = results["medians"][place], results["places"][place]
    names, jobs = order_of(results, place), list(medians)
    plain = [job for job in jobs if "files-" not in job and not job.startswith(("loop-", "xfs-"))]
    stacked = [job for job in jobs if job.startswith(("loop-", "xfs-"))]
    files = [job for job in jobs if job.startswith("files-")]
    out = ["## " + PLACES[place], "", "%s; %s; all with one file of %d MiB. %s" % (
        about["filesystem"], about["disk"], about["size_mib"], spread(medians)), ""]
    if place in REMARKS:
        out += [REMARKS[place], ""]
    out += ["### Targets", ""] + list(targets.table(results, place)) + [""]

    core = [job for job in CORE if job in medians]
    drawn = [name for name in names if name not in CACHED]

    def share(job, name):
        rows = medians[job]
        return rows[name]["iops"] / rows["ext4"]["iops"] if name in rows and "ext4" in rows else None
    if core and len(drawn) > 1:
        picture = "ratio-%s.svg" % place
        plots.bars(os.path.join(directory, picture), "throughput, %s" % PLACES[place].lower(),
                   "× ext4 itself", core, [name for name in drawn if name != "ext4"], share)
        out += ["![Throughput as a ratio to that of ext4](%s)" % picture, ""]
    out += growth.depth_pictures(medians, drawn, place, directory)
    out += ["### Throughput", ""] + rates_table(medians, plain, names)
    if stacked:
        out += ["### On loop devices with direct I/O, and XFS on those", ""] + rates_table(medians, stacked, names)
    if files:
        out += ["### Many small files: a second", ""] + rates_table(medians, files, names)
    out += ["### Against the best peer", ""] + against_table(medians, plain + stacked + files)
    out += ["### Latency", ""] + latency_table(medians, plain + stacked, names)
    out += ["### CPU", ""] + cpu_table(medians, plain + stacked, names)
    out += ["### Memory of the servers", ""] + memory_table(results, place, names)
    return out


def guest_section(results):
    """tcmu-runner's handler beside loop devices, in a virtual machine of its own."""
    medians, about = results["medians"]["vm"], results["places"]["vm"]
    ratios = {"caisson × tcmu-runner": "loop-caisson", "writeback × tcmu-runner": "loop-caisson-writeback"}

    def cell(job, name):
        rows = medians[job]
        if name in ratios:
            pair = [rows.get(key, {}).get("iops") for key in (ratios[name], "tcmu-runner")]
            return "%.2f" % (pair[0] / pair[1]) if all(pair) else ""
        base = rows.get("loop-ext4")
        share = " (%.2f)" % (rows[name]["iops"] / base["iops"]) if name in rows and base and name != "loop-ext4" else ""
        return rate_of(rows[name], job) + share if name in rows else ""
    out = ["## In a virtual machine, beside tcmu-runner", "",
           "Linux %s (%s); block devices of %d MiB on one ext4, served with io_flusher=require. %s" % (
               about["kernel"], {"tcg": "emulated: ratios count"}.get(about["machine"], about["machine"]),
               about["size_mib"], spread(medians)), ""]
    return out + table("median (× loop on ext4)", list(medians),
                       ["loop-ext4", "loop-caisson", "loop-caisson-writeback", "tcmu-runner"] + list(ratios), cell)


def machine_lines(results):
    """What it was measured on."""
    machine, settings = results["machine"], results["settings"]
    return ["caisson at %s, %s, %s CPUs, %d MiB of memory, Linux %s, %s. Rounds: %s, of %s s each. "
            "The load average at the start was %s. %s%s" % (
        settings["revision"], machine["cpu"], machine["cores"], machine["memory_mib"], machine["kernel"],
        machine["fio"], settings["rounds"], settings["seconds"], machine.get("load", "not noted"),
        "" if machine["marked"] == "yes" else
        "This machine does not let caissond mark its tasks, so caissond served with io_flusher=off. ",
        "FUSE-over-io_uring was on." if machine["uring"] == "yes" else
        "The kernel offers no FUSE-over-io_uring."), ""]


def backend_lines(results):
    """What was there and what was not."""
    out = ["## Backends", ""]
    for name, places in results["backends"].items():
        about = list(places.values())[-1]
        title = about.get("title", "")
        if about.get("version"):
            title += " (%s)" % about["version"]
        bad = sorted({"%s: %s" % (line["state"].replace("out", "left out"), line["why"])
                      for line in places.values() if line["state"] != "measured"})
        out.append("- **%s**: %s%s" % (name, title, "".join("; " + text for text in bad)))
    return out + [""]


def page(results):
    """RESULTS.md: the jobs that have a target, with medians and how far the rounds lie apart."""
    out = [PAGE_HEAD] + machine_lines(results)
    for place in filter(PLACES.get, results["medians"]):
        medians, about = results["medians"][place], results["places"][place]
        jobs = {what: job for what, job, _ in targets.TARGETS if job in medians}

        def cell(what, name):
            row = medians[jobs[what]].get(name)
            if not row:
                return ""
            around = 50 * (row["iops_max"] - row["iops_min"]) / row["iops"]
            return rate_of(row, jobs[what]) + (" ±%.0f %%" % around if row["rounds"] > 1 else "")
        out += ["## " + PLACES[place], "",
                "%s; %s; one file of %d MiB. Each number is a median, with half the distance between the slowest "
                "and the fastest round. %s" % (about["filesystem"], about["disk"], about["size_mib"],
                                               spread(medians)), ""]
        out += table("", list(jobs), PAGE_BACKENDS, cell)
    return "\n".join(out).rstrip()


def load(directory, name):
    """A results file, if it is there."""
    path = os.path.join(directory, name + ".json")
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return json.load(file)


def main():
    """The command line."""
    if len(sys.argv) != 3 or sys.argv[2] not in ("results", "scale", "page"):
        print(__doc__, file=sys.stderr)
        return 2
    directory, made = sys.argv[1:]
    if made == "page":
        print(page(load(directory, "results")))
        return 0
    with open(os.path.join(directory, made + ".json"), "w") as file:
        json.dump(assemble(read_lines(os.path.join(directory, "samples.jsonl"))), file, indent=1)
    results, scale = load(directory, "results"), load(directory, "scale")
    out = ["# caisson beside ext4 and its peers", ""]
    if results:
        out += machine_lines(results)
        for place in results["medians"]:
            out += guest_section(results) if place == "vm" else place_section(results, place, directory)
        out += backend_lines(results)
    if scale:
        out += ["# How cost grows", ""] + machine_lines(scale) + growth.section(scale, directory)
    with open(os.path.join(directory, "report.md"), "w") as file:
        file.write("\n".join(out).rstrip() + "\n")
    # that is a promise, not a timing
    more = growth.unkept(scale) if made == "scale" else []
    if more:
        print("its memory grew: " + ", ".join(more))
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
