# SPDX-License-Identifier: Apache-2.0
"""What benches/bench.py prints: the figures of a run, ratios within its rounds, and the aims. Standard library only."""

import statistics

from contenders import C, OURS, REFERENCE
from daemons import GRANIAN, UWSGI

# The most CPU per request of daemon mode, divided by that of mod_wsgi 6.1.1.
AIMS = {"hello": 0.40, "json": 0.40, "body64k": 0.45, "stream": 0.55, "file": 0.20, "upload": 0.50}
# From which share of others on a run is not to be compared with others.
BUSY = 0.10


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def show(value, digits):
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}-{value['max']:.{digits}f})" if value else "-"


def ratio(result, peer, key):
    """Ours divided by the peer's, within each round."""
    pairs = [(one[OURS][key], one[peer][key]) for one in result["rounds"] if OURS in one and peer in one]
    return spread([ours / theirs for ours, theirs in pairs if theirs]) if any(theirs for _, theirs in pairs) else None


def figures(results):
    lines = [
        "| mode | Python | scenario | server | requests/s | p50 ms | p99 ms | CPU us/request |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for name, one in result["contenders"].items():
            lines.append(
                f"| {result['mode']} | {result['python']} | {result['title']} | {name} | {show(one['per_second'], 0)} "
                f"| {one['p50_us']['median'] / 1000:.2f} | {one['p99_us']['median'] / 1000:.2f} "
                f"| {show(one['cpu_us'], 1)} |" + (f" {one['errors']} errors" if one["errors"] else "")
            )
    return lines


def compared(results, peer, title, last=None):
    """Ratios against one peer; `last` is the title and the text of one more column."""
    rows = [result for result in results if ratio(result, peer, "cpu_us")]
    if not rows:
        return []
    columns = ["Python", "scenario", "requests/s", "CPU/request", "p50", "p99", *(last[:1] if last else [])]
    lines = ["", title, "", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for result in rows:
        cells = [show(ratio(result, peer, key), 2) for key in ("per_second", "cpu_us", "p50_us", "p99_us")]
        cells = [result["python"], result["title"], *cells, *([last[1](result)] if last else [])]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def aim(result):
    """Whether the median keeps what is aimed at, and whether every round does."""
    most, found = AIMS[result["scenario"]], ratio(result, REFERENCE, "cpu_us")
    if found["median"] > most:
        return f"{most:.2f}: MISSED"
    return f"{most:.2f}: reached" + ("" if found["max"] <= most else ", not in every round")


def summary(results):
    embedded = [result for result in results if result["mode"] == "embedded"]
    daemon = [result for result in results if result["mode"] == "daemon"]
    how = "within a round: median (least-greatest)"
    lines = figures(results)
    lines += compared(
        embedded, REFERENCE, f"Embedded mode, ours divided by {REFERENCE}, {how}",
        ("CPU/request against the C handler", lambda result: show(ratio(result, C, "cpu_us"), 2)),
    )  # fmt: skip
    lines += compared(daemon, REFERENCE, f"Daemon mode, ours divided by {REFERENCE}, {how}", ("aim of CPU/request", aim))
    for peer in (UWSGI, GRANIAN):
        lines += compared(daemon, peer, f"Daemon mode, ours divided by {peer} behind httpd's proxy, {how}")
    return "\n".join(lines)


def memory_table(memory):
    """Of the process that runs the application and of the whole server: of each, and ours divided by it."""
    found = {name: kib for name, kib in memory.items() if kib}
    if not found:
        return ""
    title = "| server | memory of a process after 100 hello, KiB (PSS) | ours divided by it | of the whole server | ours divided by it |"
    lines = ["", "", title, "|---|---|---|---|---|"]
    for name, figures in found.items():
        shares = [f"{one / kib:.2f}" for one, kib in zip(found[OURS], figures)] if OURS in found else ["-", "-"]
        cells = [text for pair in zip(figures, shares) for text in pair]
        lines.append("| " + " | ".join(map(str, [name, *cells])) + " |")
    return "\n".join(lines)


def disturbance(results):
    """How much of the machine others used meanwhile."""
    shares = [one["others"] for result in results for measured in result["rounds"] for one in measured.values()]
    if not shares:
        return ""
    mean = statistics.mean(shares)
    text = f"\n\nOther processes used {mean:.0%} of the machine on average, at most {max(shares):.0%}."
    if mean > BUSY:
        text += "\n*** A BUSY MACHINE: even ratios of CPU time differ from those of an idle one."
    return text
