#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One measurement, noted as a line of JSON in OUT.

	sample.py run OUT LIMIT PID KEY=VALUE... -- COMMAND...
	sample.py memory OUT PID KEY=VALUE...
	sample.py note OUT KEY=VALUE...

`run` runs COMMAND, which prints what fio prints as JSON, or a list of such samples as metadata.py
does, and notes beside it what the server (PID and all processes below it; 0: none) did meanwhile:
CPU seconds, page faults, growth of its data. It prints the result for people. Exit status: 1 when
COMMAND failed, having said why, 124 when it wasn't done after LIMIT seconds; its processes are then
killed, but may well wait for a mount that hangs, so they aren't waited for.

`memory` notes the server's memory. Time is in seconds, latency in microseconds, memory in KiB.
"""
import json
import os
import signal
import subprocess
import sys
import time

TICK = 1 / os.sysconf("SC_CLK_TCK")
GIB = 1 << 30


def read(path):
    """The text of a file of /proc, empty when the process has ended."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def tree(pid):
    """A process and all below it."""
    pids = [pid]
    for task in os.listdir("/proc/%d/task" % pid) if os.path.isdir("/proc/%d" % pid) else []:
        for child in read("/proc/%d/task/%s/children" % (pid, task)).split():
            pids += tree(int(child))
    return pids


def status_of(pid):
    """The fields of /proc/PID/status that count KiB, and the number of threads."""
    fields = {}
    for line in read("/proc/%d/status" % pid).splitlines():
        key, _, value = line.partition(":")
        if value.endswith(" kB") or key == "Threads":
            fields[key] = int(value.split()[0])
    return fields


def counters(pids):
    """What counts up: of the server, threads that have ended included, and of the machine."""
    now = {"server_cpu_s": 0.0, "minflt": 0, "majflt": 0, "data_kib": 0}
    for pid in pids:
        # after the name: state is field 3; 10 and 12 are faults, 14 and 15 ticks
        fields = read("/proc/%d/stat" % pid).rpartition(")")[2].split()
        if fields:
            now["minflt"] += int(fields[7])
            now["majflt"] += int(fields[9])
            now["server_cpu_s"] += (int(fields[11]) + int(fields[12])) * TICK
            now["data_kib"] += status_of(pid).get("VmData", 0)
    user, nice, system, _, _, irq, softirq = map(int, read("/proc/stat").split()[1:8])
    now["machine_cpu_s"] = (user + nice + system + irq + softirq) * TICK
    return now


def percentiles(part):
    """p50, p99, p99.9 of fio's distribution, or nothing when there was none."""
    values = part.get("percentile") or {}
    return {name: values[key] / 1000 for name, key in
            (("p50_us", "50.000000"), ("p99_us", "99.000000"), ("p999_us", "99.900000"))
            if key in values}


def from_fio(text):
    """The sample of a job group. fio may print warnings before its JSON."""
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"]:
        raise ValueError("fio: error %d: %s" % (job["error"], os.strerror(job["error"])))
    parts = [job["read"], job["write"]]
    sample = {"iops": sum(part["iops"] for part in parts),
              "bytes": sum(part["io_bytes"] for part in parts),
              "seconds": job["job_runtime"] / 1000}
    if not sample["bytes"]:
        raise ValueError("fio: nothing was read or written")
    # From the call to the completion: a file that can't do without waiting makes the call wait.
    # Of a mixed load, the worse.
    for part in parts:
        for key, value in percentiles(part.get("lat_ns", {})).items():
            sample[key] = max(sample.get(key, 0), value)
    for key, value in percentiles(job.get("sync", {}).get("lat_ns", {})).items():
        sample["sync_" + key] = value
    return sample


def samples_of(text, job):
    """What COMMAND printed, as (job, sample) pairs."""
    if text.lstrip().startswith("["):
        return [(job + "-" + sample.pop("job"), sample) for sample in json.loads(text)]
    return [(job, from_fio(text))]


def number(value):
    """For people."""
    return "%.1fk" % (value / 1000) if value >= 1000 else "%.0f" % value


def append(out, sample):
    """A line in OUT."""
    with open(out, "a") as file:
        file.write(json.dumps(sample) + "\n")


def kill_group(process):
    """All of fio's processes, which are in a session of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_limited(command, limit):
    """(exit status, stdout, stderr); the status is None when the time is over."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        kill_group(process)
        return None, "", ""
    except BaseException:
        kill_group(process)
        raise
    return process.returncode, out, err


def pairs_of(words):
    """KEY=VALUE words; numbers become numbers."""
    pairs = dict(word.split("=", 1) for word in words)
    return {key: int(value) if value.isdigit() else value for key, value in pairs.items()}


def command_run(out, limit, pid, *words):
    """Runs and notes."""
    at = words.index("--")
    base = {"type": "sample", **pairs_of(words[:at])}
    pids = tree(int(pid)) if pid != "0" else []
    before, start = counters(pids), time.monotonic()
    status, text, err = run_limited(words[at + 1:], float(limit))
    elapsed, after = time.monotonic() - start, counters(pids)
    if status is None:
        print("not done after %s s" % limit)
        return 124
    if status:
        lines = (err.strip() or text.strip() or "status %d" % status).splitlines()
        print(lines[-1])
        return 1
    try:
        samples = samples_of(text, base["job"])
    except (ValueError, KeyError, IndexError) as error:
        print("%s" % error)
        return 1
    used = {key: round(after[key] - before[key], 6) for key in after}
    used["elapsed_s"] = round(elapsed, 3)
    for job, sample in samples:
        if len(samples) == 1:
            sample = {**sample, **used}
            if sample.get("bytes"):
                sample["server_cpu_s_gib"] = used["server_cpu_s"] / sample["bytes"] * GIB
                sample["machine_cpu_s_gib"] = used["machine_cpu_s"] / sample["bytes"] * GIB
        append(out, {**base, "job": job, **sample})
    print(" ".join(number(sample["iops"]) for _, sample in samples))
    return 0


def command_memory(out, pid, *words):
    """Of the server's largest process, and of all of them."""
    all_of = [status for status in map(status_of, tree(int(pid))) if "VmRSS" in status]
    if not all_of:
        print("there is no process %s" % pid)
        return 1
    largest = max(all_of, key=lambda status: status["VmRSS"])
    sample = {"type": "memory", **pairs_of(words), "processes": len(all_of)}
    for name, key in (("peak_kib", "VmHWM"), ("resident_kib", "VmRSS"), ("locked_kib", "VmLck"),
                      ("threads", "Threads")):
        sample[name] = largest[key]
        sample["all_" + name] = sum(status[key] for status in all_of)
    append(out, sample)
    return 0


def command_note(out, *words):
    """Whatever it is."""
    append(out, pairs_of(words))
    return 0


def main():
    """The command line."""
    commands = {"run": command_run, "memory": command_memory, "note": command_note}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return commands[sys.argv[1]](*sys.argv[2:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
