package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// servedKey is what clients of served have to know.
const servedKey = "key-from-the-environment"

// served starts the real binary, and ends it with SIGTERM; it has to leave with 0.
func served(t *testing.T, args ...string) (url string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"serve", "--port", "0"}, args...)...)
	cmd.Env = append(os.Environ(), "LLCUDA_TEST_MAIN=1", "LLCUDA_API_KEY="+servedKey)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("llcuda serve: %v\n%s", err, errs.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http://127.0.0.1:") || !strings.HasSuffix(line, "/v1\n") {
		t.Fatalf("the first line is %q (%v)\n%s", line, err, errs.String())
	}
	return strings.TrimSpace(line)
}

func TestServe(t *testing.T) {
	url := served(t, "demo", "--ctx", "200", "--parallel", "2", "--exact")
	want := strings.TrimSuffix(output(t, "", "infer", "demo", "What is AI?", "--temperature", "0", "--max-tokens", "8"), "\n")
	for _, c := range []struct {
		key    string
		status int
	}{{servedKey, 200}, {"wrong", 401}} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/completions",
			strings.NewReader(`{"model": "demo", "prompt": "What is AI?", "temperature": 0, "max_tokens": 8}`))
		r.Header.Set("Authorization", "Bearer "+c.key)
		r.Header.Set("Content-Type", "application/json")
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(w.Body)
		w.Body.Close()
		if w.StatusCode != c.status || err != nil {
			t.Fatalf("key %q: status %d, want %d: %s", c.key, w.StatusCode, c.status, body)
		}
		var answer struct{ Choices []struct{ Text string } }
		if err := json.Unmarshal(body, &answer); c.status == 200 && (err != nil || len(answer.Choices) != 1 || answer.Choices[0].Text != want) {
			t.Errorf("answer %s (%v), want %q", body, err, want)
		}
	}
}

func TestServeMistakes(t *testing.T) {
	taken := served(t, "demo", "--ctx", "100")
	port := strings.TrimSuffix(taken[strings.LastIndex(taken, ":")+1:], "/v1")
	for want, args := range map[string][]string{
		"serve: 0 arguments":       nil,
		"--port 70000: want 1 to":  {"demo", "--port", "70000"},
		"--parallel 0: want 1 to":  {"demo", "--parallel", "0"},
		"--queue -1: want 0":       {"demo", "--queue", "-1"},
		"--grace -1s: want 0":      {"demo", "--grace", "-1s"},
		"--api-key: the key is":    {"demo", "--api-key", ""},
		"--ctx -1: want 1 or more": {"demo", "--port", "0", "--ctx", "-1"},
		"take another --port":      {"demo", "--port", port},
		"no model nope: ":          {"nope", "--port", "0"},
	} {
		if _, _, err := command(t, "", append([]string{"serve"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
}

// TestPythonClient is the openai package of Python against a server of ours.
func TestPythonClient(t *testing.T) {
	python, err := filepath.Abs("../../.venv/bin/python")
	if name := os.Getenv("LLCUDA_PYTHON"); name != "" {
		python = name
	}
	if err != nil || exec.Command(python, "-c", "import openai").Run() != nil {
		t.Skip("no Python with openai: make testdata, or name the interpreter in LLCUDA_PYTHON")
	}
	args := []string{"../peers/openai_client.py", servedKey, served(t, "demo", "--ctx", "256", "--embeddings")}
	path := filepath.Join(os.Getenv("LLCUDA_MODELS"), "smollm2-135m-q4_1.gguf")
	if _, err := os.Stat(path); err == nil {
		args = append(args, served(t, path, "--ctx", "1024", "--alias", "smollm2"))
	}
	if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
