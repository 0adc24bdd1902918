# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report's pictures, by gnuplot."""
import subprocess

COLOURS = {
    "ext4": "#222222",
    "caisson": "#0b5cad", "caisson-dev": "#3d8bd9", "caisson-uring": "#12a4a0",
    "caisson-passthrough": "#7cc0f2", "caisson-writeback": "#a9b8e8", "caisson-writethrough": "#c9d3f0",
    "caisson-thin": "#0a7d86",
    "passthrough-hp": "#d1342f", "passthrough-hp-uring": "#ec7f5c", "passthrough-hp-kernel": "#f2b28c",
    "qemu-fuse": "#e0a100", "ublk-loop": "#8a5fb5",
}
GROWING = "log"  # of an axis


def colour(backend):
    """Always the same for a backend."""
    return COLOURS.get(backend, "#888888")


def draw(path, size, lines):
    """Runs gnuplot; its terminal and looks are the same in all pictures."""
    script = [
        "set terminal svg size %d,%d dynamic font 'sans,12' background '#ffffff'" % size,
        "set output '%s'" % path,
        "set grid ytics lc rgb '#dddddd'",
        "set key outside below horizontal",
        "set border 3",
        "set tics nomirror",
    ] + lines
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)


def block(name, rows):
    """Data for a plot, in line."""
    return ["$%s << END" % name] + [" ".join(map(str, row)) for row in rows] + ["END"]


def bars(path, title, label, jobs, backends, value):
    """A group of bars a job, a bar a backend; value(job, backend) may be None. 1 is ext4."""
    rows = [['"%s"' % job] + [value(job, name) if value(job, name) is not None else "NaN"
                              for name in backends] for job in jobs]
    highest = max((cell for row in rows for cell in row[1:] if cell != "NaN"), default=1)
    lines = block("rows", rows) + [
        "set title '%s'" % title,
        "set ylabel '%s'" % label,
        "set style data histogram",
        "set style histogram clustered gap 1.5",
        "set style fill solid 0.95 noborder",
        "set boxwidth 0.95",
        "set xtics rotate by -30 font ',11'",
        # what is cached below is beside the point, and would flatten all else
        "set yrange [0:%.2f]" % min(max(1.15, highest * 1.05), 2.5),
        "set arrow from graph 0, first 1 to graph 1, first 1 nohead lw 1.5 dt 2 lc rgb '#222222' front",
        "plot " + ", \\\n     ".join(
            "$rows using %d:xtic(1) lc rgb '%s' title '%s'" % (column + 2, colour(name), name)
            for column, name in enumerate(backends)),
    ]
    draw(path, (max(820, 150 + 13 * len(jobs) * (len(backends) + 2)), 480), lines)


def curves(path, title, x_label, y_label, series, *, x_scale=GROWING, y_zero=True, extra=()):
    """A curve each: series are (label, backend, points); dashed where the label says a bound."""
    series = [(label, name, points) for label, name, points in series if points]
    if not series:
        return False
    lines, plotted = [], []
    for number, (label, name, points) in enumerate(series):
        lines += block("s%d" % number, sorted(points))
        dash = 2 if "bound" in label else 1
        plotted.append("$s%d using 1:2 with linespoints pt 7 ps 0.6 lw 2.2 dt %d lc rgb '%s' title '%s'" % (
            number, dash, colour(name), label))
    lines += [
        "set title '%s'" % title,
        "set xlabel '%s' offset 0,0.4" % x_label,
        "set ylabel '%s'" % y_label,
        "set grid lc rgb '#dddddd'",
    ]
    if x_scale:
        lines.append("set logscale x %d" % (2 if x_scale == "log2" else 10))
    if y_zero:
        lines.append("set yrange [0:*]")
    lines += list(extra)
    lines.append("plot " + ", \\\n     ".join(plotted))
    draw(path, (760, 440), lines)
    return True
