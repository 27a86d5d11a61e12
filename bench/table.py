"""The results as a Markdown document."""

import datetime
import os
import platform
import statistics
import subprocess

from servers import PAGE_BYTES

# Load average above which more than a server and a client ran.
BUSY_LOAD = 3.0

HEAD = """# Benchmarks

Sessile beside Debian's `redis-server` on the same machine, in alternated runs: the server with all of its threads and
children on one core, the clients on the other, unless a row says *not pinned*. *Durable* compares Sessile as it comes with `appendonly yes, appendfsync
always`; *in memory* runs both with `appendonly no`. Neither has save points.

A ratio is Sessile's number divided by Redis' of the same round: the median, in brackets the least and the greatest. The
numbers before it are Redis' median → Sessile's. A floor is what the median has to reach; a row below it says **miss**.
Unpipelined, `redis-benchmark` and the kernel's socket calls are most of the cost, so the processor time of the server is
the number to compare; it counts all threads. *Busy* is the share of its core that the server used: where it is far
below 100 %, the rate is the client's or the disk's. A machine shared with others is noisy: take direction and size.
Misses are explained in [BENCHMARKS_MISSES.md](BENCHMARKS_MISSES.md).

"""


def spread(values):
    """Median, least and greatest."""
    if len(values) == 1:
        return f"**{values[0]:.2f}**"
    return f"**{statistics.median(values):.2f}** ({min(values):.2f}–{max(values):.2f})"


def ratios(metric, by_kind):
    """The ratios that the floor is about, one a round."""
    ours, theirs = ([numbers[metric.key] for numbers in by_kind[kind]] for kind in ("sessile", "redis"))
    if metric.own:
        return ours
    return [a / b for a, b in zip(ours, theirs) if b > 0]


def number_cell(metric, by_kind):
    median = {k: statistics.median(numbers[metric.key] for numbers in by_kind[k]) for k in ("redis", "sessile")}
    return f"{median['redis']:,.{metric.digits}f} → {median['sessile']:,.{metric.digits}f}"


def verdicts(row, by_kind):
    """(metric, median, whether its floor is reached) of each number of a row that has a floor."""
    for metric in row.metrics:
        found = ratios(metric, by_kind)
        if metric.floor and found:
            median = statistics.median(found)
            yield metric, median, metric.floor.reached(median)


def section(title, rows, results):
    """One table; the columns of a number's floor are there if any row has one."""
    metrics = rows[0].metrics
    floored = {m.key for row in rows for m in row.metrics if m.floor}
    head, align = [title.lower()], ["---"]
    for metric in metrics:
        columns = [metric.title, *([] if metric.own else ["ratio"]), *(["floor"] if metric.key in floored else [])]
        head += columns
        align += ["---:"] * len(columns)
    lines = [f"## {title}", ""]
    if floored:
        head.append("reached")
        align.append("---")
    lines += ["| " + " | ".join(head) + " |", "| " + " | ".join(align) + " |"]
    for row in rows:
        by_kind = results[row.name]
        cells = [row.name]
        for metric in row.metrics:
            cells.append(number_cell(metric, by_kind))
            if not metric.own:
                cells.append(spread(ratios(metric, by_kind)))
            elif metric.floor and len(by_kind["sessile"]) > 1:
                cells[-1] += f" ({min(ratios(metric, by_kind)):.2f}–{max(ratios(metric, by_kind)):.2f})"
            if metric.key in floored:
                cells.append(str(metric.floor or ""))
        if floored:
            judged = list(verdicts(row, by_kind))
            missed = [metric.title for metric, _, reached in judged if not reached]
            cells.append(f"**miss**: {', '.join(missed)}" if missed else "yes" if judged else "")
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def groups(rows):
    """Rows by section and by their numbers, in order."""
    found = {}
    for row in rows:
        key = row.section, tuple((m.key, m.title) for m in row.metrics)
        found.setdefault(key, []).append(row)
    return found


def summary(rows, results):
    judged = [(row, *verdict) for row in rows for verdict in verdicts(row, results[row.name])]
    missed = [entry for entry in judged if not entry[3]]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} floors are reached."]
    if missed:
        lines += ["", "| missed | number | floor | measured |", "| --- | --- | ---: | ---: |"]
        lines += [f"| {row.name} | {metric.title} | {metric.floor} | **{m:.2f}** |" for row, metric, m, _ in missed]
    return [*lines, ""]


def machine():
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown CPU")
    memory_gib = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES / 2**30
    return f"{os.cpu_count()} cores ({cpu}), {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def versions(binaries):
    said = (subprocess.run([b, "--version"], capture_output=True, text=True, check=False).stdout for b in binaries)
    return "; ".join(text.split(" sha")[0].strip() for text in said)


def report(rows, results, failures, facts):
    """The document without its head."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    lines = [
        f"- `{facts['command']}`, {now} UTC, {facts['seconds'] / 60:.0f} minutes",
        f"- {facts['rounds']} rounds, of what takes long fewer; {facts['keys']} (a fifth, where they have members)",
        f"- {machine()}",
        f"- {versions(facts['binaries'])}",
        f"- load average {facts['load']:.1f} before, {os.getloadavg()[0]:.1f} after (2 are the benchmark's own)",
        "",
    ]
    if max(facts["load"], os.getloadavg()[0]) > BUSY_LOAD:
        lines += ["**Other programs kept the machine busy: take these numbers as a direction, and run this again.**", ""]
    measured = [row for row in rows if all(results[row.name].values())]
    lines += summary(measured, results)
    for name, why in failures.items():
        lines += [f"**{name} could not be measured:** {why.splitlines()[0]}", ""]
    for (title, _), members in groups(measured).items():
        lines += section(title, members, results)
    return "\n".join(lines).rstrip() + "\n"
