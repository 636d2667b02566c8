"""Latency and throughput of a kernel, as a raw pyzmq client sees them.

    LLCUDA_KERNEL=./llcuda .venv/bin/python jupyter/bench.py

With LLCUDA_SAMPLES=echo the kernel is the test binary of this package
(`go test -c ./jupyter`). Goals: start to first kernel_info reply 40 ms, trivial
cell 2 ms, 500,000 printed lines a second, 30 MB of memory when idle.
"""

import hashlib
import hmac
import json
import os
import statistics
import subprocess
import tempfile
import time
import uuid

import zmq

KERNEL = os.path.abspath(os.environ["LLCUDA_KERNEL"])
TRIVIAL, PRINT, LINES, COUNT = {
    "llcuda": ("%tensor 1 + 2", "!echo x", "!seq {n}", 1_000_000),
    "echo": ("result 3", "print x", "lines {n}", 1_000_000),
}[os.environ.get("LLCUDA_SAMPLES", "llcuda")]


class Kernel:
    """A kernel process and a client of it."""

    def __init__(self):
        self.key = uuid.uuid4().hex.encode()
        self.context = zmq.Context()
        ports = {}
        for name in "shell", "iopub", "stdin", "control", "hb":
            s = self.context.socket(zmq.REP)
            ports[name] = s.bind_to_random_port("tcp://127.0.0.1")
            s.close(0)
        time.sleep(0.05)  # for the ports to be free again
        f = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        json.dump({"transport": "tcp", "ip": "127.0.0.1", "key": self.key.decode(), "signature_scheme": "hmac-sha256",
                   **{f"{k}_port": v for k, v in ports.items()}}, f)
        f.close()
        self.file = f.name
        self.shell = self.context.socket(zmq.DEALER)
        self.control = self.context.socket(zmq.DEALER)
        self.iopub = self.context.socket(zmq.SUB)
        self.iopub.subscribe(b"")
        self.iopub.set_hwm(0)
        self.start = time.perf_counter()
        self.process = subprocess.Popen([KERNEL, "kernel", self.file])
        for name in "shell", "control", "iopub":
            s = getattr(self, name)
            s.setsockopt(zmq.RECONNECT_IVL, 1)
            s.connect(f"tcp://127.0.0.1:{ports[name]}")

    def send(self, msg_type, content, socket=None):
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": "s", "username": "u", "date": "2026-01-01T00:00:00Z", "version": "5.4"}
        parts = [json.dumps(x).encode() for x in (header, {}, {}, content)]
        h = hmac.new(self.key, digestmod=hashlib.sha256)
        for p in parts:
            h.update(p)
        (socket or self.shell).send_multipart([b"<IDS|MSG>", h.hexdigest().encode(), *parts])
        return msg_id

    @staticmethod
    def recv(socket):
        if not socket.poll(60_000):
            raise TimeoutError
        f = socket.recv_multipart()
        f = f[f.index(b"<IDS|MSG>"):]
        return json.loads(f[2])["msg_type"], json.loads(f[3]).get("msg_id"), f[5]

    def info(self):
        msg_id = self.send("kernel_info_request", {})
        while self.recv(self.shell)[1] != msg_id:
            pass

    def run(self, code):
        """Executes a cell up to its idle. Returns what was printed, and in how many messages."""
        msg_id = self.send("execute_request", {"code": code})
        text, n = [], 0
        while True:
            t, parent, content = self.recv(self.iopub)
            if parent != msg_id:
                continue
            if t == "stream":
                text.append(content)
                n += 1
            if t == "status" and b"idle" in content:
                break
        while self.recv(self.shell)[1] != msg_id:
            pass
        return text, n

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS"))

    def stop(self):
        start = time.perf_counter()
        self.send("shutdown_request", {"restart": False}, self.control)
        self.process.wait()
        took = time.perf_counter() - start
        self.context.destroy(0)
        os.remove(self.file)
        return took


def ms(seconds):
    seconds = sorted(seconds)
    return f"p50 {1e3 * statistics.median(seconds):7.2f} ms   p99 {1e3 * seconds[int(len(seconds) * 0.99)]:7.2f} ms"


def timed(n, f):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return times


def main():
    starts, stops = [], []
    for _ in range(15):
        k = Kernel()
        k.info()
        starts.append(time.perf_counter() - k.start)
        stops.append(k.stop())
    print("start to kernel_info ", ms(starts))
    print("shutdown to exit     ", ms(stops))

    k = Kernel()
    k.info()
    while True:  # until the subscription is there
        if k.iopub.poll(100):
            break
        k.info()
    time.sleep(0.2)
    print(f"idle memory           {k.memory():7.1f} MB")
    timed(20, lambda: k.run(TRIVIAL))
    print("trivial cell         ", ms(timed(1000, lambda: k.run(TRIVIAL))))
    print("print cell           ", ms(timed(300, lambda: k.run(PRINT))))
    print("kernel_info          ", ms(timed(300, k.info)))
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        text, n = k.run(LINES.format(n=COUNT))
        took = time.perf_counter() - start
        lines = sum(json.loads(t)["text"].count("\n") for t in text)
        assert lines == COUNT, f"{lines} of {COUNT} lines"
        rates.append(COUNT / took)
    print(f"printed lines         {statistics.median(rates):9,.0f} a second, {COUNT:,} in {n} messages")
    print(f"memory after          {k.memory():7.1f} MB")
    k.stop()


if __name__ == "__main__":
    main()
