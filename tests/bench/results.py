# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the lines that sample.py has noted to medians, by place, job and backend."""
import json
import statistics

# whatever is better when there is more of it comes first in its table
MEASURED = ("iops", "bytes_s", "p50_us", "p99_us", "p999_us", "sync_p50_us", "sync_p99_us",
            "sync_p999_us", "server_cpu_s_gib", "machine_cpu_s_gib")


def read_lines(path):
    """The dictionaries of a file of samples."""
    with open(path) as file:
        return [json.loads(line) for line in file if line.strip()]


def median_of(samples):
    """The median of each measure, and between what the rounds were."""
    merged = {"rounds": len(samples)}
    for key in MEASURED:
        values = [sample[key] for sample in samples if key in sample]
        if values:
            merged[key] = statistics.median(values)
    rates = [sample["iops"] for sample in samples]
    merged["iops_min"], merged["iops_max"] = min(rates), max(rates)
    return merged


def group(samples, *keys):
    """Nested dictionaries by keys, lists of samples at the end."""
    out = {}
    for sample in samples:
        level = out
        for key in keys[:-1]:
            level = level.setdefault(sample[key], {})
        level.setdefault(sample[keys[-1]], []).append(sample)
    return out


def assemble(lines):
    """All that the report is made from; what a broken backend gave is left out of the medians."""
    results = {"machine": {}, "settings": {}, "limits": {}, "places": {}, "backends": {}}
    samples, memory, scale = [], [], []
    for line in lines:
        kind = line.pop("type")
        if kind in ("machine", "settings", "limits"):
            results[kind] = line
        elif kind == "place":
            results["places"][line.pop("name")] = line
        elif kind == "backend":
            known = results["backends"].setdefault(line.pop("name"), {}).setdefault(line.pop("place"), {})
            known.update(line)
        else:
            {"sample": samples, "memory": memory, "scale": scale}[kind].append(line)

    def is_whole(line):
        state = results["backends"].get(line["backend"], {}).get(line["place"], {})
        return state.get("state") != "broken"

    for sample in samples:
        if sample.get("bytes"):
            sample["bytes_s"] = sample["bytes"] / sample["seconds"]
    results["medians"] = {
        place: {job: {backend: median_of(rounds) for backend, rounds in backends.items()}
                for job, backends in jobs.items()}
        for place, jobs in group(filter(is_whole, samples), "place", "job", "backend").items()}
    results["memory"] = list(filter(is_whole, memory))
    results["scale"] = list(filter(is_whole, scale))
    results["samples"] = samples
    return results


def is_caisson(backend):
    """One of ours?"""
    return backend.startswith("caisson")


def is_peer(backend):
    """Another daemon, or a driver."""
    return backend != "ext4" and not is_caisson(backend)


def best(backends, measure="iops", among=lambda name: True):
    """(name, value) of the highest, or None."""
    values = [(row[measure], name) for name, row in backends.items() if among(name) and measure in row]
    return max(values)[::-1] if values else None


def growth(memory, place, backend):
    """The server's memory from the start to the end of its work, or None: (start, end)."""
    mine = [line for line in memory if line["place"] == place and line["backend"] == backend]
    starts = [line for line in mine if line["when"] == "start"]
    ends = [line for line in mine if line["when"] == "end"]
    return (starts[-1], ends[-1]) if starts and ends else None
