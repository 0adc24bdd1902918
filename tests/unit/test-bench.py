#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-bench.py DIR: how the benchmark's report (tests/bench) comes from samples, by samples made
here: medians, ratios, what a target is held against, and that a backend that lost data has no numbers."""
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
# pylint: disable=wrong-import-position
import report
import sample
import targets
from results import assemble, best, growth, is_peer
from growth import is_kept

failures = []


def check(what, good):
    """One check."""
    print("%s: %s" % ("ok" if good else "not ok", what))
    if not good:
        failures.append(what)


def lines_of(job, **rates):
    """Samples of a job, a round each: backend=[iops, ...]."""
    return [{"type": "sample", "place": "disk", "backend": name.replace("_", "-"), "job": job, "round": number,
             "iops": iops, "bytes": 1 << 30, "seconds": 2.0, "server_cpu_s_gib": 100 / iops, "minflt": 0,
             "majflt": 0, "data_kib": 0}
            for name, rounds in rates.items() for number, iops in enumerate(rounds)]


def states_of(**states):
    """What is noted of the backends."""
    return [{"type": "backend", "name": name.replace("_", "-"), "place": "disk", "state": state, "why": ""}
            for name, state in states.items()]


def target(results, measure, label):
    """The row of the table, by how it begins."""
    return next(row for row in targets.rows(results, "disk")
                if row["measure"] == measure and row["target"].endswith(label))


def test_medians():
    """Of rounds in any order."""
    results = assemble(lines_of("randread-4k-qd32", ext4=[300, 100, 200], caisson=[100, 190, 170]))
    rows = results["medians"]["disk"]["randread-4k-qd32"]
    check("the median is the one in the middle", rows["ext4"]["iops"] == 200 and rows["caisson"]["iops"] == 170)
    check("least and most are kept", (rows["ext4"]["iops_min"], rows["ext4"]["iops_max"]) == (100, 300))
    check("bytes a second", rows["ext4"]["bytes_s"] == (1 << 29))


def test_broken():
    """What lost data counts for nothing, not even as a peer."""
    lines = lines_of("randread-4k-qd32", ext4=[200], caisson=[100], qemu_fuse=[1])
    results = assemble(lines + states_of(ext4="measured", caisson="measured", qemu_fuse="broken"))
    check("no numbers of a broken backend", "qemu-fuse" not in results["medians"]["disk"]["randread-4k-qd32"])
    check("its samples are still noted", len(results["samples"]) == 3)
    row = target(results, "4k randread QD32", "QEMU FUSE export")
    check("nothing is met against it", row["met"] == "not measured" and row["reached"] is None)


def test_targets():
    """Met, missed, by another way, not measured."""
    results = assemble(
        lines_of("randread-4k-qd32", ext4=[100], caisson=[80], caisson_uring=[90], passthrough_hp=[30],
                 passthrough_hp_uring=[50]) +
        lines_of("read-128k-qd8", ext4=[400], caisson=[800], passthrough_hp=[400]))
    row = target(results, "4k randread QD32", "ext4")
    check("missed", row["met"] == "no" and abs(row["reached"] - 0.8) < 1e-9)
    check("met another way", row["other"]["backend"] == "caisson-uring" and row["other"]["met"] == "yes")
    row = target(results, "4k randread QD32", "passthrough_hp daemon")
    check("the better of the peer's transports counts", abs(row["reached"] - 1.6) < 1e-9)
    row = target(results, "server CPU s/GiB, 128k read", "passthrough_hp daemon")
    check("of CPU time, less is better", abs(row["reached"] - 0.5) < 1e-9 and row["met"] == "yes")
    row = target(results, "stats a second", "passthrough_hp daemon")
    check("what was not measured is not missed", row["met"] == "not measured")
    check("no faults", target(results, "page faults of the server under load", "0")["met"] == "yes")
    rows = results["medians"]["disk"]["randread-4k-qd32"]
    check("the best peer", best(rows, among=is_peer) == ("passthrough-hp-uring", 50))


def test_page():
    """RESULTS.md has the jobs with a target, with medians and how far the rounds lie apart."""
    machine = {"cpu": "A", "cores": 2, "memory_mib": 1, "kernel": "6.1", "fio": "f", "marked": "no", "uring": "no"}
    lines = [{"type": "machine", **machine},
             {"type": "settings", "revision": "abc", "rounds": 3, "seconds": 1},
             {"type": "place", "name": "disk", "filesystem": "ext4", "disk": "vda", "size_mib": 64}]
    lines += lines_of("randread-4k-qd32", ext4=[100, 200, 300], caisson=[150]) + lines_of("other", ext4=[1])
    text = report.page(assemble(lines))
    check("the row of a job", "| 4k randread QD32 | 200 ±50 % | 150 |" in text)
    check("no other row", text.count("\n|") == 3)
    check("where it comes from", "caisson at abc, A, 2 CPUs" in text and "Linux 6.1" in text)


def test_fio():
    """What fio prints, warnings before its JSON included."""
    text = """fio: a warning
{"jobs": [{"error": 0, "job_runtime": 2000,
"read": {"iops": 10, "io_bytes": 4096, "lat_ns": {"percentile": {"50.000000": 1000, "99.000000": 9000}}},
"write": {"iops": 5, "io_bytes": 4096, "lat_ns": {"percentile": {"50.000000": 2000, "99.000000": 3000}}},
"sync": {"lat_ns": {"percentile": {"50.000000": 7000}}}}]}"""
    one = sample.from_fio(text)
    check("reads and writes together", one["iops"] == 15 and one["bytes"] == 8192 and one["seconds"] == 2)
    check("of two latencies the worse", one["p50_us"] == 2 and one["p99_us"] == 9 and one["sync_p50_us"] == 7)
    try:
        sample.from_fio(text.replace('"error": 0', '"error": 5'))
        check("an I/O error is one", False)
    except ValueError as error:
        check("an I/O error is one", "Input/output error" in str(error))
    job, rate = sample.samples_of('[{"job": "create", "iops": 3}]', "files")[0]
    check("a list of samples", job == "files-create" and rate == {"iops": 3})


def test_memory():
    """A server that has grown."""
    start = {"place": "disk", "backend": "caisson", "when": "start", "locked_kib": 50000, "peak_kib": 50000}
    end = {**start, "when": "end", "peak_kib": 51000}
    check("its own start and end", growth([start, end], "disk", "caisson") == (start, end))
    check("a few pages more are none", is_kept(start, end))
    check("locked memory must not grow", not is_kept(start, {**end, "locked_kib": 50004}))
    check("nor what isn't locked", not is_kept(start, {**end, "peak_kib": 60000}))


test_medians()
test_broken()
test_targets()
test_page()
test_fio()
test_memory()
sys.exit(1 if failures else 0)
