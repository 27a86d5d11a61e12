"""Dramatiq's queue while the server is killed three times: every acknowledged task runs, without exception.

Fetch and note are one script here, so no message can be between the two. What a lost reply carried stays in the set
of the worker that asked for it; it comes back when that worker's heartbeat stops, so the program replaces the worker.
"""

from kill_loop import Evidence, Supervised, kill_while_working, summary
from server import Server
from support import HERE, Child, wait_until

DRAIN_LIMIT_S = 60
MESSAGES = "dramatiq:default.msgs"


def test_acknowledged_tasks_run_across_kills(server: Server, capsys):
    folder = server.dir / "evidence"
    folder.mkdir()
    evidence = Evidence(folder)

    def start_worker(life: int) -> Child:
        arguments = ["-m", "dramatiq", "dramatiq_app", "--processes", "1", "--threads", "4"]
        # After a lost connection a consumer waits three seconds by default.
        return Child(server, f"kill-worker-{life}", arguments, dramatiq_restart_delay="300", **evidence.environment())

    worker = Supervised(start_worker)
    sender = Child(server, "kill-sender", [str(HERE / "kill_sender.py"), "dramatiq"], **evidence.environment())
    try:
        with capsys.disabled(), server.client() as client:
            print()
            kill_while_working(server, evidence, sender, worker)
            wait_until(
                lambda: worker.keep() or client.llen("dramatiq:default") == 0,
                "the worker empties the queue", DRAIN_LIMIT_S,
            )
            worker.child.stop()
            stranded = len(evidence.missing())
            worker.child = start_worker(worker.restarts + 1)
            wait_until(
                lambda: worker.keep() or (client.hlen(MESSAGES) == 0 and client.hlen("dramatiq:default.DQ.msgs") == 0),
                "no message is left", DRAIN_LIMIT_S,
            )
            lost = evidence.missing()
            print(f"dramatiq: {summary(evidence, lost)}; {stranded} came back with the next worker; "
                  f"{worker.restarts} worker restarts")
            assert client.zcard("dramatiq:default.XQ") == 0, "no task failed for good"
    finally:
        sender.stop()
        worker.child.stop()
    assert not lost, f"{lost}\n{worker.child.text()[-4000:]}"
