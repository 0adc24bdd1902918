#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks Promela models with Spin, by exhaustive search: tests/model/spin.py MODEL.pml...

A model's first comment has a line for each variant of it, such as `#@ clean: NAME -DWORD` (the keys
are in tests/lib/head-keys). For a variant that finds something, the shortest way there is printed. A
model may say with `/*: TEXT */` at the end of a line what its statement does, or waits for: a
counterexample is told in these words. A statement that no variant reaches is a mistake in the model,
and fails, but for what is compiled only into those that find something.

Environment: CC; CAISSON_LONG=1, the `long` variants, too; CAISSON_MODEL_MEMORY, MiB that all searches
may take (default 6144).
Exit status: 0 all as it must be, 1 not, 2 usage, 77 Spin is missing.
"""

import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

KINDS = ("finds", "clean", "long", "live", "starves")
IS_LONG = os.environ.get("CAISSON_LONG", "0") != "0"
JOBS = min(2, os.cpu_count() or 1)
MEMORY_MIB = int(os.environ.get("CAISSON_MODEL_MEMORY", "6144")) // JOBS  # of one search
DEPTHS = 100_000, 20_000_000  # of a search: tried one after the other, as the room for it is taken at once


class Variant:
    """One line of a model's comment."""

    def __init__(self, kind, words):
        self.kind, self.name, *rest = kind, *words
        self.property = rest.pop(0) if kind in ("live", "starves") else None
        self.defines = rest
        # the first error found by breadth is a shortest one; cycles can only be found by depth
        self.by_breadth = kind == "finds"


class Outcome:
    """What the search has printed."""

    def __init__(self, text, seconds):
        self.text, self.seconds = text, seconds
        self.errors = self.number(r"errors: (\d+)")
        self.states = self.number(r"^ *([\d.e+]+) states, stored")
        self.depth = self.number(r"depth reached (\d+)")
        self.memory_mib = self.number(r"([\d.]+)\s+total actual memory usage")
        self.is_whole = self.errors is not None and not re.search(
            r"Search not completed|max search depth too small|out of memory|aborting", text)

    def number(self, pattern):
        match = re.search(pattern, self.text, re.M)
        return float(match.group(1)) if match else None

    def error(self):
        match = re.search(r"^pan:1: (.*?)(?: \(at depth.*)?$", self.text, re.M)
        return match.group(1) if match else "no error"

    def unreached(self, model):
        """The model's lines that have a statement which the search never came to."""
        return {int(line)
                for block in re.findall(r"^unreached in (?:proctype|init).*\n((?:\t.*\n)*)", self.text, re.M)
                for line in re.findall(rf'\t{re.escape(model)}:(\d+), state \d+, "(?!-end-)', block)}


def read_variants(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found = []
    for kind, words in re.findall(rf"^ \* #@ ({'|'.join(KINDS)}): (.+)$", text, re.M):
        if kind != "long" or IS_LONG:
            found.append(Variant("clean" if kind == "long" else kind, words.split()))
    if not found:
        sys.exit(f"{path}: has no variants")
    return found


def read_texts(path):
    """By line: what its statement does."""
    with open(path, encoding="utf-8") as file:
        return {number: match.group(1) for number, line in enumerate(file, 1)
                if (match := re.search(r"/\*: (.*?) \*/", line))}


def run(command, directory, memory_mib=None):
    def limit():
        if memory_mib:
            resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))

    return subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, preexec_fn=limit, check=False)


def search(model, variant, directory):
    made = run(["spin", *variant.defines, "-a", model], directory)
    if made.returncode or not os.path.exists(f"{directory}/pan.c") or "Error" in made.stdout:
        sys.exit(f"{model}: spin -a: {made.stdout}")
    flags = ["-DNOREDUCE", "-DCOLLAPSE"] if variant.property else ["-DSAFETY"]
    flags += ["-DBFS"] if variant.by_breadth else []
    flags += ["-DCOLLAPSE"] if variant.kind == "clean" else []
    made = run([os.environ.get("CC", "cc"), "-O2", "-w", "-DNFAIR=4", f"-DMEMLIM={MEMORY_MIB}", *flags,
                "-o", "pan", "pan.c"], directory)
    if made.returncode:
        sys.exit(f"{model}: {made.stdout}")
    arguments = ["-a", "-f", "-N", variant.property] if variant.property else []
    since = time.monotonic()
    for depth in DEPTHS:
        done = run(["./pan", f"-m{depth}", *arguments], directory, MEMORY_MIB + 1024)
        if "max search depth too small" not in done.stdout:
            break
    return Outcome(done.stdout, time.monotonic() - since)


def replay(model, variant, directory):
    """The trail, step by step, and how many of these there are after the processes were made."""
    text = run(["spin", *variant.defines, "-t", "-p", model], directory).stdout
    return text, len(set(re.findall(r"^ *(\d+):\tproc +\d+ \((?!:init:)", text, re.M)))


def tell_story(model, texts, text):
    """The same in the model's own words, and then who waits for what: lines."""
    place = r"proc +(\d+) \((\w+):\d+\) " + re.escape(model) + r":(\d+) \(state"
    steps, _, end = text.partition("#processes:")
    several = {name for name in re.findall(r"\((\w+):\d+\)", text)
               if len(set(re.findall(rf"proc +(\d+) \({name}:", text))) > 1}

    def who(number, name):
        return name.replace("_", " ") + (f" {number}" if name in several else "")

    story, told = [], None
    for number, name, line in re.findall(r"^ *\d+:\t" + place, steps, re.M):
        if int(line) in texts and (number, line) != told:
            story.append(f"{who(number, name)}: {texts[int(line)]}")
        told = number, line
    story.append("and so each stands before this:")
    story += [f"- {who(number, name)}: {texts[int(line)]}"
              for number, name, line in sorted(re.findall(place, end)) if int(line) in texts]
    return story


def check(path, variant, texts):
    """Searches one variant: whether it is as it must be, what to print, and the lines never reached."""
    model = os.path.basename(path)
    with tempfile.TemporaryDirectory(prefix="caisson-model.", dir=os.environ.get("CAISSON_SCRATCH")) as directory:
        for name in os.listdir(os.path.dirname(path)):
            if name.endswith(".h") or name == model:
                shutil.copy(f"{os.path.dirname(path)}/{name}", directory)
        outcome = search(model, variant, directory)
        wants_error = variant.kind in ("finds", "starves")
        as_it_must = bool(outcome.errors) if wants_error else outcome.is_whole and outcome.errors == 0
        what = outcome.error() if outcome.errors else "no error" if outcome.is_whole else "search not completed"
        trail, steps = replay(model, variant, directory) if outcome.errors else ("", None)
        if steps and not variant.property:
            what += f" after {steps} steps"
        lines = [f"{'pass' if as_it_must else 'fail'}  {model[:-4] + '/' + variant.name:<34} {what}; "
                 f"{outcome.states or 0:.0f} states, depth {outcome.depth or 0:.0f}, "
                 f"{outcome.memory_mib or 0:.0f} MiB, {outcome.seconds:.1f} s"]
        if steps and not variant.property:
            lines += tell_story(model, texts, trail)
        if not as_it_must:
            lines += outcome.text.splitlines()[-30:]
        return as_it_must, lines, None if wants_error else outcome.unreached(model)


def check_model(path):
    texts, ok, unreached = read_texts(path), True, None
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for good, lines, missed in pool.map(lambda variant: check(path, variant, texts), read_variants(path)):
            print("\n      ".join(lines), flush=True)
            ok = ok and good
            if missed is not None:
                unreached = missed if unreached is None else unreached & missed
    if unreached and ok:
        ok = False
        print(f"fail  {os.path.basename(path)}: never reached: lines {', '.join(map(str, sorted(unreached)))}")
    return ok


def main(paths):
    if not paths or paths[0].startswith("-"):
        print(__doc__)
        return 0 if paths and paths[0] == "--help" else 2
    if not shutil.which("spin"):
        print("skip: spin is missing")
        return 77
    return 0 if all([check_model(os.path.abspath(path)) for path in paths]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
