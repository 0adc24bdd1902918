# SPDX-License-Identifier: LGPL-2.1-or-later
"""How cost grows: with queue depth (any run), open files, inodes, image size and queues (--scale)."""
import os
import re

import plots
from results import group, growth, median_of

SLACK_KIB = 4096  # mappings that can't be locked: rings, the vdso


def points(rows, name, y, divisor=1):
    """(x, y) of a backend."""
    return [(row["x"], row[y] / divisor) for row in rows if row["backend"] == name and row.get(y)]


def names_of(rows):
    """In the order in which they come."""
    return list(dict.fromkeys(row["backend"] for row in rows))


def depth_pictures(medians, names, place, directory, prefix=""):
    """IOPS over queue depth, a picture for reads and one for writes."""
    out = []
    for rw in ("randread", "randwrite"):
        depths = {job: int(found[1]) for job in medians
                  for found in [re.fullmatch(rw + r"-4k-qd(\d+)", job)] if found}
        if len(depths) < 3:
            continue
        series = [(name, name, [(depth, medians[job][name]["iops"] / 1000) for job, depth in depths.items()
                                if name in medians[job]]) for name in names]
        picture = "%sdepth-%s-%s.svg" % (prefix, rw, place)
        plots.curves(os.path.join(directory, picture), "%s 4k, %s" % (rw, place), "queue depth", "1000 IOPS",
                     series, x_scale="log2")
        out += ["![%s over queue depth](%s)" % (rw, picture), ""]
    return out


def merged(scale):
    """A row a part, job, x and backend."""
    rows = []
    for part, jobs in group(scale, "part", "job", "x", "backend").items():
        for job, xs in jobs.items():
            for x, backends in xs.items():
                for backend, samples in backends.items():
                    rows.append({**samples[-1], **median_of(samples), "part": part, "job": job, "x": x,
                                 "backend": backend})
    return rows


def cell_of(row):
    """A rate, and whether there were as many as asked for."""
    if not row:
        return "-"
    text = "%.1fk" % (row["iops"] / 1000) if row["iops"] >= 1000 else "%.0f" % row["iops"]
    if row.get("refused"):
        text += " (%s after %d)" % (row["refused"], row["count"])
    return text


def growth_table(rows, first, names):
    """A row a size, a column a backend."""
    out = ["| %s | %s |" % (first, " | ".join(names)), "|---|" + "---|" * len(names)]
    for x in sorted({row["x"] for row in rows}):
        by_name = {row["backend"]: row for row in rows if row["x"] == x}
        out.append("| %s | %s |" % ("{:,}".format(x), " | ".join(cell_of(by_name.get(name)) for name in names)))
    return out + [""]


def memory_series(rows, bounds, names):
    """Resident memory of each server, and what caisson had locked when it began to serve: its bound."""
    series = [(name, name, points(rows, name, "resident_kib", 1024)) for name in names]
    for name, bound in bounds.items():
        mine = points(rows, name, "resident_kib")
        series.append((name + ": bound", name, [(x, bound / 1024) for x, _ in mine]))
    return series


PARTS = (
    ("open", "many-open", "many-read", "open files", "Opens a second", "reads a second, 4k, one at a time"),
    ("inodes", None, "many-stat", "inodes known", None, "stats a second, each for the first time"),
    ("size", "randwrite", "randread", "GiB of sparse image", "4k randwrite QD32", "4k randread QD32"),
)


def part_section(rows, bounds, directory, part):
    """Tables and pictures of a part."""
    name, extra, job, x_label, extra_label, label = part
    mine = [row for row in rows if row["part"] == name]
    if not mine:
        return []
    main, other = ([row for row in mine if row["job"] == one] for one in (job, extra))
    names = names_of(mine)
    out = ["## " + x_label[0].upper() + x_label[1:], "", label[0].upper() + label[1:] + ":", ""]
    out += growth_table(main, x_label, names)
    if other:
        out += [extra_label + ":", ""] + growth_table(other, x_label, names)
    picture = "scale-%s.svg" % name
    if plots.curves(os.path.join(directory, picture), label, x_label, "1000 a second",
                    [(one, one, points(main, one, "iops", 1000)) for one in names]):
        out += ["![%s](%s)" % (label, picture), ""]
    picture = "scale-%s-memory.svg" % name
    if plots.curves(os.path.join(directory, picture), "memory of the server", x_label, "MiB",
                    memory_series(main, bounds, [one for one in names if one != "ext4"])):
        out += ["![Memory of the server](%s)" % picture, ""]
    return out


def queues_section(scale, directory):
    """Rates by the number of caissond's queues, and what its memory is then."""
    medians = scale["medians"].get("disk", {})
    ends = {line["queues"]: line for line in scale["memory"] if "queues" in line}
    if not ends:
        return []
    out = ["## Queues of caissond", "", "| queues | randread 4k QD32 | randwrite 4k QD32 | memory bound, MiB |",
           "|---|---|---|---|"]
    series = {"randread": [], "randwrite": []}
    for queues, line in sorted(ends.items()):
        cells = []
        for rw, curve in series.items():
            row = medians.get(rw + "-4k-qd32", {}).get(line["backend"])
            cells.append(cell_of(row))
            if row:
                curve.append((queues, row["iops"] / 1000))
        out.append("| %d | %s | %.0f |" % (queues, " | ".join(cells), (line["bound_kib"] or 0) / 1024))
    plots.curves(os.path.join(directory, "scale-queues.svg"), "4k, QD 32", "queues=", "1000 IOPS",
                 [("randread", "caisson", series["randread"]), ("randwrite", "passthrough-hp", series["randwrite"])],
                 x_scale=None)
    return out + ["", "![IOPS over queues](scale-queues.svg)", ""]


def is_kept(start, end):
    """Has the server's memory stayed what it was when it began to serve?"""
    return (end["locked_kib"] <= start["locked_kib"] and
            end["peak_kib"] <= max(start["locked_kib"], start["peak_kib"]) + SLACK_KIB)


def unkept(scale):
    """The caissonds that took more memory in the end than they had at the start."""
    names = [name for name in names_of(scale["memory"]) if name.startswith("caisson")]
    both = {name: growth(scale["memory"], "disk", name) for name in names}
    return [name for name in names if both[name] and not is_kept(*both[name])]


def bound_section(scale):
    """Whether the memory bound was kept by every caissond, whatever it had to do."""
    out = ["## Memory bound", "", "| caissond | stated, MiB | locked at the start | locked at the end | peak | kept |",
           "|---|---|---|---|---|---|"]
    names = [name for name in names_of(scale["memory"]) if name.startswith("caisson")]
    for name in names:
        both = growth(scale["memory"], "disk", name)
        if both:
            start, end = both
            out.append("| %s | %.0f | %.1f | %.1f | %.1f | %s |" % (
                name, (start["bound_kib"] or 0) / 1024, start["locked_kib"] / 1024, end["locked_kib"] / 1024,
                end["peak_kib"] / 1024, "yes" if is_kept(start, end) else "NO"))
    return out + [""]


def section(scale, directory):
    """All of it."""
    rows = merged(scale["scale"])
    bounds = {line["backend"]: line["locked_kib"] for line in scale["memory"]
              if line["locked_kib"] and line["when"] == "start" and "queues" not in line["backend"]}
    out = ["A process may have %s descriptors here, of %s." % (
        scale["limits"].get("nofile"), scale["limits"].get("nr_open")), ""]
    names = [name for name in scale["backends"] if "queues" not in name]
    out += depth_pictures(scale["medians"].get("disk", {}), names, "disk", directory, "scale-")
    for part in PARTS:
        out += part_section(rows, bounds, directory, part)
    return out + queues_section(scale, directory) + bound_section(scale)
