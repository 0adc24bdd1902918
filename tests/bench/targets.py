# SPDX-License-Identifier: LGPL-2.1-or-later
"""What caisson is to reach, as ratios within a run, and whether this one has.

A target that something for it was not there for is not measured, which is not met and not missed.
"""
from results import is_caisson

HP_DAEMON = ("passthrough-hp", "passthrough-hp-uring")  # the better of its transports counts
AT_LEAST, AT_MOST = "≥", "≤"


def over(backends, label, wanted):
    """A ratio to the best of some backends."""
    return {"against": backends, "label": label, "wanted": wanted}


def over_ext4(wanted):
    """The usual one."""
    return over(("ext4",), "ext4", wanted)


def over_hp(wanted):
    """passthrough_hp with its daemon in the path."""
    return over(HP_DAEMON, "passthrough_hp daemon", wanted)


# (what, job, checks)
TARGETS = [
    ("4k randread QD32", "randread-4k-qd32",
     [over_ext4(0.85), over_hp(1.9), over(("qemu-fuse",), "QEMU FUSE export", 4)]),
    ("4k randwrite QD32", "randwrite-4k-qd32",
     [over_ext4(0.95), over_hp(1.1), over(("passthrough-hp-kernel",), "passthrough_hp in the kernel", 3)]),
    ("4k randread QD1", "randread-4k-qd1", [over_ext4(0.65), over_hp(1.2)]),
    ("4k randwrite QD1", "randwrite-4k-qd1", [over_ext4(0.90), over_hp(1.2)]),
    ("128k sequential read QD8", "read-128k-qd8", [over_ext4(0.90), over_hp(1.0)]),
    ("128k sequential write QD8", "write-128k-qd8", [over_ext4(0.97), over_hp(1.0)]),
    ("1 MiB sequential read QD4", "read-1m-qd4", [over_ext4(1.0)]),
    ("1 MiB sequential write QD4", "write-1m-qd4", [over_ext4(1.0)]),
    ("4k randread QD32 on loop", "loop-randread-4k-qd32",
     [over(("ext4",), "loop on ext4", 0.80)]),
    ("4k randwrite QD32 on loop", "loop-randwrite-4k-qd32",
     [over(("ext4",), "loop on ext4", 0.92)]),
    ("XFS on loop, mixed load", "xfs-mixed", [over(("ext4",), "the same on ext4", 0.85)]),
    ("XFS on loop, file creation", "xfs-files-create",
     [over(("ext4",), "the same on ext4", 0.85)]),
    ("first writes into a sparse image, 4k QD32", "first-writes-4k-qd32", [over_ext4(0.85)]),
    ("creates a second", "files-create", [over_hp(1.3)]),
    ("stats a second", "files-stat", [over_hp(1.3)]),
    ("unlinks a second", "files-unlink", [over_hp(1.3)]),
]
CPU_TARGETS = [
    ("server CPU s/GiB, 128k read", "read-128k-qd8", 0.25, 0.8),
    ("server CPU s/GiB, 128k write", "write-128k-qd8", 0.18, 0.6),
]
# The same service by another way. Caches make another promise, so they don't count.
OTHER_WAYS = ("caisson-dev", "caisson-uring", "caisson-passthrough", "caisson-thin")


def value(medians, job, backend, measure):
    """A median, or None."""
    return medians.get(job, {}).get(backend, {}).get(measure)


def ratio(medians, job, mine, check, measure="iops", pick=max):
    """Mine to the best of the others, or None."""
    ours = value(medians, job, mine, measure)
    theirs = [value(medians, job, name, measure) for name in check["against"]]
    theirs = [number for number in theirs if number]
    return None if ours is None or not theirs else ours / pick(theirs)


def judge(reached, sign, wanted):
    """The word for the last column."""
    if reached is None:
        return "not measured"
    met = reached >= wanted if sign == AT_LEAST else reached <= wanted
    return "yes" if met else "no"


def row_of(measure, sign, wanted, label, numbers):
    """numbers: by backend, those of OTHER_WAYS included."""
    own = numbers.get("caisson")
    others = [(number, name) for name, number in numbers.items()
              if name != "caisson" and number is not None]
    best = (max(others) if sign == AT_LEAST else min(others)) if others else None
    return {"measure": measure, "target": "%s %.2f%s" % (sign, wanted, label),
            "reached": own, "met": judge(own, sign, wanted),
            "other": best and {"backend": best[1], "reached": best[0], "met": judge(best[0], sign, wanted)}}


def still(samples, place):
    """The rows of what must not move: (measure, sum over all samples or None)."""
    mine = [sample for sample in samples
            if sample["place"] == place and sample["backend"] == "caisson" and "minflt" in sample]
    for measure, keys in (("page faults of the server under load", ("minflt", "majflt")),
                          ("growth of the server's data under load, KiB", ("data_kib",))):
        yield measure, sum(sample[key] for sample in mine for key in keys) if mine else None


def rows(results, place):
    """All rows of a place."""
    medians = results["medians"].get(place, {})
    ways = [name for name in ("caisson",) + OTHER_WAYS if is_caisson(name)]
    out = []
    for measure, job, checks in TARGETS:
        for check in checks:
            numbers = {name: ratio(medians, job, name, check) for name in ways}
            out.append(row_of(measure, AT_LEAST, check["wanted"], " × " + check["label"], numbers))
    for measure, job, absolute, relative in CPU_TARGETS:
        key = "server_cpu_s_gib"
        numbers = {name: value(medians, job, name, key) for name in ways}
        out.append(row_of(measure, AT_MOST, absolute, "", numbers))
        check = over(HP_DAEMON[:1], "", relative)
        numbers = {name: ratio(medians, job, name, check, key, min) for name in ways}
        out.append(row_of(measure, AT_MOST, relative, " × passthrough_hp daemon", numbers))
    for measure, number in still(results["samples"], place):
        out.append({"measure": measure, "target": "0", "reached": number, "other": None,
                    "met": "not measured" if number is None else "no" if number else "yes"})
    return out


def table(results, place):
    """Markdown lines."""
    yield "| measure | target | this run | met? | caisson another way |"
    yield "|---|---|---|---|---|"
    for row in rows(results, place):
        reached = "-" if row["reached"] is None else "%.2f" % row["reached"]
        if row["target"] == "0" and row["reached"] is not None:
            reached = "%d" % row["reached"]
        other = row["other"]
        yield "| %s | %s | %s | %s | %s |" % (
            row["measure"], row["target"], reached, row["met"],
            "%.2f (%s)%s" % (other["reached"], other["backend"],
                             ", met" if other["met"] == "yes" and row["met"] != "yes" else "")
            if other else "")
