# SPDX-License-Identifier: Apache-2.0
"""Compare embedded mode with mod_wsgi 6.1.1 and with a C handler, in one run.

Every scenario is measured in rounds; in each round all contenders follow one
another, in changing order, so that what else the machine does falls on all. A
ratio is taken within a round, and its median, least and greatest over the
rounds are reported. CPU time is that of all processes of a server, user and
system, divided by the requests that were answered: it is the figure to trust on
a busy machine. Needs wrk. Standard library only, Python 3.9.
"""

import argparse
import http.client
import json
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from contenders import C, HERE, OURS, REFERENCE, ROOT, THREADS, Contenders, Python, found_pythons, note

from httpd import HttpdError, User, output, program, temp_root

SCENARIOS = {
    # name: (title, path, connections, size of the request body, expected size of the answer)
    "hello": ("hello, 12 bytes", "/hello", 16, 0, 12),
    "json": ("JSON, 1 KB, 10 headers", "/json", 16, 0, 1024),
    "body64k": ("body of 64 KB", "/body64k", 16, 0, 65536),
    "stream": ("stream, 100 x 1 KB", "/stream", 16, 0, 102400),
    "file": ("file, 10 MB, file_wrapper", "/file", 4, 0, 10 << 20),
    "upload": ("upload, 1 MB", "/upload", 4, 1 << 20, 8),
    "django": ("Django page", "/django/", 16, 0, None),
}


def check(server, path, body, size):
    """One request by hand: a contender that answers something else is not compared."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST" if body else "GET", path, b"x" * body if body else None)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status != 200 or (size is not None and len(data) != size) or not data:
        raise HttpdError(f"{path} answered {response.status} with {len(data)} bytes\n{server.log_tail()}")


def command(wrk, server, path, connections, body, seconds):
    return [
        wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / "report.lua"),
        f"http://127.0.0.1:{server.port}{path}", "--", str(body),
    ]  # fmt: skip


def measure(line, server):
    before = server.cpu_seconds()
    text = output(*line)
    cpu = server.cpu_seconds() - before
    match = re.search(r"RESULT requests=(\d+) us=(\d+) p50=(\d+) p99=(\d+) bytes=(\d+) errors=(\d+)", text)
    requests, us, p50, p99, _, errors = map(int, match.groups())
    if not requests:
        raise HttpdError(f"not one request was answered: {shlex.join(line)}\n{server.log_tail()}")
    return {
        "requests": requests,
        "per_second": requests / (us / 1e6),
        "p50_us": p50,
        "p99_us": p99,
        "cpu_us": cpu * 1e6 / requests,
        "errors": errors,
    }


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(rounds, peer, key):
    pairs = [(one[OURS][key], one[peer][key]) for one in rounds if OURS in one and peer in one]
    return spread([ours / theirs for ours, theirs in pairs if theirs]) if pairs else None


def show(value, digits):
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}-{value['max']:.{digits}f})" if value else "-"


def table(results):
    lines = [
        "| Python | scenario | module | requests/s | p50 ms | p99 ms | CPU us/request |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for name, figures in result["contenders"].items():
            lines.append(
                f"| {result['python']} | {result['title']} | {name} | {show(figures['per_second'], 0)} "
                f"| {figures['p50_us']['median'] / 1000:.2f} | {figures['p99_us']['median'] / 1000:.2f} "
                f"| {show(figures['cpu_us'], 1)} |" + (f" {figures['errors']} errors" if figures["errors"] else "")
            )
    lines += [
        "",
        f"Ours divided by {REFERENCE}, within a round: median (least-greatest)",
        "",
        "| Python | scenario | requests/s | p50 | p99 | CPU/request | CPU/request against the C handler |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        ratio = result["ratios"]
        if ratio:
            lines.append(
                f"| {result['python']} | {result['title']} | {show(ratio['per_second'], 2)} | {show(ratio['p50_us'], 2)} "
                f"| {show(ratio['p99_us'], 2)} | {show(ratio['cpu_us'], 2)} | {show(ratio['cpu_us_c'], 2)} |"
            )
    return "\n".join(lines)


def run_scenario(name, wrk, contenders, rounds, seconds):
    title, path, connections, body, size = SCENARIOS[name]
    servers = {who: one for who, one in contenders.servers.items() if not (name == "django" and who == C)}
    for who, server in servers.items():
        check(server, path, body, size)
        line = command(wrk, server, path, connections, body, seconds)
        print(f"    {who}: {shlex.join(line)}", flush=True)
        measure(command(wrk, server, path, connections, body, 1), server)  # warms up, not counted
    measured = []
    for number in range(rounds):
        order = list(servers) if number % 2 == 0 else list(reversed(servers))
        measured.append(
            {who: measure(command(wrk, servers[who], path, connections, body, seconds), servers[who]) for who in order}
        )
    result = {
        "python": contenders.python.version,
        "scenario": name,
        "title": title,
        "connections": connections,
        "rounds": measured,
        "contenders": {},
        "ratios": None,
    }
    for who in servers:
        result["contenders"][who] = {
            **{key: spread([one[who][key] for one in measured]) for key in ("per_second", "p50_us", "p99_us", "cpu_us")},
            "errors": sum(one[who]["errors"] for one in measured),
        }
    if OURS in servers and REFERENCE in servers:
        result["ratios"] = {key: ratios(measured, REFERENCE, key) for key in ("per_second", "p50_us", "p99_us", "cpu_us")}
        result["ratios"]["cpu_us_c"] = ratios(measured, C, "cpu_us")
    return result


def machine():
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout.strip()
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "commit": commit,
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "httpd": output(program("apache2", "httpd"), "-v").splitlines()[0].partition(": ")[2],
        "load": os.getloadavg(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--this-python-only", action="store_true", help="do not look for a Python 3.13 beside it")
    parser.add_argument("--quick", action="store_true", help="three rounds of one second")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one; can be repeated")
    parser.add_argument("--contender", action="append", choices=[OURS, REFERENCE, C], help="only this one; can be repeated")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    seconds = arguments.seconds or (1 if arguments.quick else 4)

    os.umask(0o022)
    root = temp_root("bench")
    results = []
    facts = machine()
    try:
        wrk = program("wrk")
        pythons = [arguments.python] if arguments.this_python_only else list(found_pythons(arguments.python))
        print(f"{facts['cpu']}, {facts['cores']} cores; Linux {facts['kernel']}; {facts['httpd']}; commit {facts['commit']}")
        print(f"event MPM, one child, {THREADS} threads, keep-alive, AllowOverride None; {rounds} rounds of {seconds} s", flush=True)
        for executable in pythons:
            python = Python(executable, root, User())
            with Contenders(root, python, arguments.module, only=arguments.contender) as contenders:
                for name in arguments.scenario or SCENARIOS:
                    print(f"Python {python.version}, {SCENARIOS[name][0]}", flush=True)
                    results.append(run_scenario(name, wrk, contenders, rounds, seconds))
        print("\n" + table(results))
        state = ROOT / "target/bench"
        file = state / time.strftime("bench-%Y%m%d-%H%M%S.json", time.gmtime())
        file.write_text(json.dumps({"machine": facts, "rounds": rounds, "seconds": seconds, "results": results}, indent=1))
        (state / "bench.md").write_text(table(results) + "\n")
        print(f"\nAll figures: {file}")
    except HttpdError as error:
        note(f"make bench: {error}")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
