"""jupyter_kernel_test 0.7.0, every test, against a kernel binary, and what that
suite leaves out: interrupts, aborts, stdin, silence, comms, order of output.

    LLCUDA_KERNEL     the binary, started as `$LLCUDA_KERNEL kernel CONNECTION_FILE`
    LLCUDA_SAMPLES    the cells to try: "llcuda" (default) or "echo", see SAMPLES
    LLCUDA_TRANSPORT  "tcp" (default) or "ipc"
"""

import json
import os
import shutil
import tempfile
import time
import unittest
from queue import Empty

import jupyter_kernel_test as jkt
import nbclient
import nbformat
from jupyter_client.manager import KernelManager, start_new_kernel

KERNEL = os.path.abspath(os.environ["LLCUDA_KERNEL"])
WHICH = os.environ.get("LLCUDA_SAMPLES", "llcuda")
TRANSPORT = os.environ.get("LLCUDA_TRANSPORT", "tcp")

SAMPLES = {
    "echo": {
        "language_name": "echo",
        "file_extension": ".txt",
        "code_hello_world": "print hello, world",
        "code_stderr": "eprint oops",
        "completion_samples": [
            {"text": "pri", "matches": {"print"}},
            {"text": "s", "matches": {"show", "sleep", "spin"}},
            {"text": "zzz", "matches": set()},
        ],
        "complete_code_samples": ["print 1", ""],
        "incomplete_code_samples": ["print \\"],
        "invalid_code_samples": ["?"],
        "code_page_something": "page help",
        "code_generate_error": "fail on purpose",
        "code_execute_result": [
            {"code": "result 3", "result": "3"},
            {"code": "result ü 漢字", "result": "ü 漢字"},
        ],
        "code_display_data": [
            {"code": "show it", "mime": "text/html"},
            {"code": "show it", "mime": "image/png"},
        ],
        "code_history_pattern": "result 3*",
        "code_inspect_sample": "print",
        "code_clear_output": "clear",
        "sleep": "sleep 20000",
        "spin": "spin",
        "error": "fail",
        "lines": ("lines 100000", lambda: "".join(f"line {i}\n" for i in range(100000))),
        "input": ("input name? ", "name?", "got world\n"),
    },
    "llcuda": {
        "language_name": "llcuda",
        "file_extension": ".llcuda",
        "code_hello_world": "!echo hello, world",
        "code_stderr": "!echo oops >&2",
        "completion_samples": [
            {"text": "%loa", "matches": {"%load"}},
            {"text": "%infe", "matches": {"%infer"}},
        ],
        "complete_code_samples": ["%gpu", "%tensor 1 + 2", "!echo hi", ""],
        "incomplete_code_samples": ["%%infer"],
        "invalid_code_samples": ["%tensor (1 +"],
        "code_page_something": "%load?",
        "code_generate_error": "%load /no/such/model.gguf",
        "code_execute_result": [
            {"code": "%tensor 1 + 2", "result": "3"},
            {"code": "%tensor 2 * 21", "result": "42"},
        ],
        "code_display_data": [{"code": "%gpu", "mime": "text/html"}],
        "code_history_pattern": "%tensor 1*",
        "code_inspect_sample": "%load",
        "code_clear_output": "%clear",
        "sleep": "!sleep 20",
        "spin": "!while :; do :; done",
        "error": "%load /no/such/model.gguf",
        "lines": ("!seq 100000", lambda: "".join(f"{i}\n" for i in range(1, 100001))),
        "input": None,
    },
}[WHICH]


def setUpModule():
    """Install a kernelspec of the binary where nobody else looks."""
    global home
    home = tempfile.mkdtemp()
    spec = os.path.join(home, "kernels", "under_test")
    os.makedirs(spec)
    with open(os.path.join(spec, "kernel.json"), "w") as f:
        json.dump({
            "argv": [KERNEL, "kernel", "{connection_file}"],
            "display_name": "under test",
            "language": "llcuda",
            "interrupt_mode": os.environ.get("LLCUDA_INTERRUPT", "message"),
        }, f)
    os.environ["JUPYTER_PATH"] = home
    os.environ["JUPYTER_RUNTIME_DIR"] = os.path.join(home, "r")
    os.makedirs(os.environ["JUPYTER_RUNTIME_DIR"], mode=0o700)
    if TRANSPORT == "ipc":
        KernelManager.transport.default_value = "ipc"


def tearDownModule():
    left = [f for f in os.listdir(os.environ["JUPYTER_RUNTIME_DIR"]) if "-ipc-" in f]
    shutil.rmtree(home)
    if left:
        raise AssertionError(f"sockets left behind: {left}")


class Suite(jkt.KernelTests):
    kernel_name = "under_test"
    supported_history_operations = ("tail", "range", "search")


class Welcome(jkt.IopubWelcomeTests):
    kernel_name = "under_test"
    support_iopub_welcome = True


for key, value in SAMPLES.items():
    if hasattr(Suite, key):
        setattr(Suite, key, value)


class Beyond(unittest.TestCase):
    """What jupyter_kernel_test does not ask for."""

    @classmethod
    def setUpClass(cls):
        cls.km, cls.kc = start_new_kernel(kernel_name="under_test")

    @classmethod
    def tearDownClass(cls):
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()

    def setUp(self):
        while True:
            try:
                self.kc.get_iopub_msg(timeout=0.05)
            except Empty:
                break

    def iopub(self, msg_id, timeout=20):
        """All messages that msg_id caused, up to its idle."""
        msgs = []
        while True:
            m = self.kc.get_iopub_msg(timeout=timeout)
            if m["parent_header"].get("msg_id") != msg_id:
                continue
            msgs.append(m)
            if m["msg_type"] == "status" and m["content"]["execution_state"] == "idle":
                return msgs

    def reply(self, msg_id, timeout=20):
        while True:
            m = self.kc.get_shell_msg(timeout=timeout)
            if m["parent_header"].get("msg_id") == msg_id:
                return m

    def stdout(self, msgs):
        return "".join(m["content"]["text"] for m in msgs if m["msg_type"] == "stream")

    def test_transport(self):
        self.assertEqual(self.km.transport, TRANSPORT)

    def test_many_lines(self):
        code, want = SAMPLES["lines"]
        msg_id = self.kc.execute(code)
        got = self.stdout(self.iopub(msg_id))
        self.assertTrue(got == want(), f"{len(got)} characters, want {len(want())}")

    def test_many_lines_to_a_slow_reader(self):
        code, want = SAMPLES["lines"]
        msg_id = self.kc.execute(code)
        time.sleep(1)
        msgs = []
        while not msgs or msgs[-1]["content"].get("execution_state") != "idle":
            msgs.append(self.kc.get_iopub_msg(timeout=20))
            time.sleep(0.05)
        got = self.stdout(m for m in msgs if m["parent_header"].get("msg_id") == msg_id)
        self.assertTrue(got == want(), f"{len(got)} characters, want {len(want())}")

    def interrupt(self, code):
        msg_id = self.kc.execute(code)
        while self.kc.get_iopub_msg(timeout=5)["msg_type"] != "execute_input":
            pass
        time.sleep(0.2)
        start = time.time()
        self.km.interrupt_kernel()
        content = self.reply(msg_id)["content"]
        self.assertLess(time.time() - start, 5)
        self.assertEqual(content["status"], "error")
        msg_id = self.kc.execute(SAMPLES["code_hello_world"])
        self.assertEqual(self.reply(msg_id)["content"]["status"], "ok")
        self.assertIn("hello, world", self.stdout(self.iopub(msg_id)))

    def test_interrupt_sleep(self):
        self.interrupt(SAMPLES["sleep"])

    def test_interrupt_busy_loop(self):
        self.interrupt(SAMPLES["spin"])

    def test_questions_while_a_cell_runs(self):
        cell = self.kc.execute(SAMPLES["sleep"])
        self.assertEqual(self.reply(self.kc.kernel_info(), timeout=5)["content"]["status"], "ok")
        self.assertEqual(self.reply(self.kc.complete("x"), timeout=5)["content"]["status"], "ok")
        self.km.interrupt_kernel()
        self.assertEqual(self.reply(cell)["content"]["status"], "error")

    def test_error_aborts_what_is_queued(self):
        slow, first = self.kc.execute(SAMPLES["sleep"]), self.kc.execute(SAMPLES["code_hello_world"])
        second = self.kc.execute(SAMPLES["code_hello_world"])
        time.sleep(0.3)
        self.km.interrupt_kernel()
        self.assertEqual(self.reply(slow)["content"]["status"], "error")
        self.assertEqual(self.reply(first)["content"]["status"], "aborted")
        self.assertEqual(self.reply(second)["content"]["status"], "aborted")
        after = self.kc.execute(SAMPLES["code_hello_world"])
        self.assertEqual(self.reply(after)["content"]["status"], "ok")

    def test_error_does_not_abort_without_stop_on_error(self):
        failing = self.kc.execute(SAMPLES["error"], stop_on_error=False)
        after = self.kc.execute(SAMPLES["code_hello_world"])
        self.assertEqual(self.reply(failing)["content"]["status"], "error")
        self.assertEqual(self.reply(after)["content"]["status"], "ok")

    def test_silent(self):
        count = self.reply(self.kc.execute(SAMPLES["code_hello_world"]))["content"]["execution_count"]
        msg_id = self.kc.execute(SAMPLES["code_hello_world"], silent=True)
        types = [m["msg_type"] for m in self.iopub(msg_id)]
        self.assertEqual(types, ["status", "status"])
        self.assertEqual(self.reply(msg_id)["content"]["status"], "ok")
        msg_id = self.kc.execute(SAMPLES["code_hello_world"])
        self.assertEqual(self.reply(msg_id)["content"]["execution_count"], count + 1)

    def test_nbclient(self):
        new = nbformat.v4.new_code_cell
        cells = [new(SAMPLES["code_hello_world"]), new(SAMPLES["code_execute_result"][0]["code"]),
                 new(SAMPLES["error"], metadata={"tags": ["raises-exception"]}), new(SAMPLES["code_hello_world"])]
        nb = nbformat.v4.new_notebook(cells=cells)
        nbclient.NotebookClient(nb, kernel_name="under_test", timeout=20).execute()
        nbformat.validate(nb)
        self.assertEqual([[o.output_type for o in c.outputs] for c in nb.cells],
                         [["stream"], ["execute_result"], ["error"], ["stream"]])
        self.assertEqual(nb.metadata.language_info.name, SAMPLES["language_name"])
        nb.cells[2].metadata.tags = []
        with self.assertRaises(nbclient.exceptions.CellExecutionError):
            nbclient.NotebookClient(nb, kernel_name="under_test", timeout=20).execute()

    def test_empty_cell(self):
        for code in "", " \n":
            msg_id = self.kc.execute(code)
            self.assertEqual(self.reply(msg_id)["content"]["status"], "ok")

    def test_stdin(self):
        if SAMPLES["input"] is None:
            self.skipTest("no cell asks for input")
        code, prompt, want = SAMPLES["input"]
        msg_id = self.kc.execute(code, allow_stdin=True)
        asked = self.kc.get_stdin_msg(timeout=5)
        self.assertEqual(asked["msg_type"], "input_request")
        self.assertEqual(asked["content"], {"prompt": prompt, "password": False})
        self.assertEqual(asked["parent_header"]["msg_id"], msg_id)
        self.kc.input("world")
        self.assertEqual(self.stdout(self.iopub(msg_id)), want)
        msg_id = self.kc.execute(code, allow_stdin=False)
        self.assertEqual(self.reply(msg_id)["content"]["status"], "error")

    def test_unknown_comm_target_is_closed(self):
        m = self.kc.session.msg("comm_open", {"comm_id": "c1", "target_name": "nobody", "data": {}})
        self.kc.shell_channel.send(m)
        self.assertEqual(
            [(x["msg_type"], x["content"].get("comm_id")) for x in self.iopub(m["header"]["msg_id"])][1],
            ("comm_close", "c1"))
        info = self.reply(self.kc.comm_info())["content"]
        self.assertEqual(info, {"status": "ok", "comms": {}})

    def test_restart(self):
        self.km.restart_kernel(now=False)
        self.kc.wait_for_ready(timeout=20)
        msg_id = self.kc.execute(SAMPLES["code_hello_world"])
        self.assertEqual(self.reply(msg_id)["content"]["execution_count"], 1)

    def test_shutdown_is_quick_and_clean(self):
        km, kc = start_new_kernel(kernel_name="under_test")
        start = time.time()
        kc.shutdown()
        kc.get_control_msg(timeout=5)
        while km.is_alive() and time.time() - start < 5:
            time.sleep(0.01)
        self.assertFalse(km.is_alive())
        self.assertEqual(km.provisioner.process.returncode, 0)
        kc.stop_channels()
        km.cleanup_resources()


if __name__ == "__main__":
    unittest.main(verbosity=2)
