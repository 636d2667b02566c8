package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

const (
	testRepo  = "bartowski/SmolLM2-135M-Instruct-GGUF"
	testModel = "SmolLM2-135M-Instruct-Q4_K_M"
)

// newTestHub serves the embedded model under the names of a real repository,
// and makes an empty home the user's.
func newTestHub(t *testing.T) (*hubtest.Server, []byte) {
	model, err := os.ReadFile("../../engine/demo/demo.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f := hubtest.New(t)
	f.Others[testRepo] = map[string][]byte{testModel + ".gguf": model, "SmolLM2-135M-Instruct-Q8_0.gguf": append(slices.Clone(model), 0)}
	t.Setenv("HF_ENDPOINT", f.Hub.URL)
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_TOKEN", "hf_secret")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("LLCUDA_MODELS", "")
	return f, model
}

func TestPull(t *testing.T) {
	f, _ := newTestHub(t)
	_, _, err := command(t, "", "tokenize", "smollm2-135m-Q4_K_M", "a")
	if want := "smollm2-135m-Q4_K_M is not on this machine; llcuda pull smollm2-135m-Q4_K_M fetches it"; err == nil || err.Error() != want || len(f.Asked) > 0 {
		t.Errorf("tokenize: %v, want %s", err, want)
	}
	out, errs, err := command(t, "", "pull", "smollm2-135m-Q4_K_M")
	path := strings.TrimSpace(out)
	if err != nil || filepath.Base(path) != testModel+".gguf" || !strings.Contains(errs, testModel+": 100 %, 4.3 MB of 4.3 MB") {
		t.Fatalf("%q %q %v", out, errs, err)
	}
	if out := output(t, "", "tokenize", "smollm2-135m-Q4_K_M", "--json", "Once upon a time"); out != output(t, "", "tokenize", "demo", "--json", "Once upon a time") {
		t.Errorf("tokenize: %s", out)
	}
	if out := output(t, "", "infer", testRepo+":Q4_K_M", "Once", "--max-tokens", "3", "--temperature", "0"); out != output(t, "", "infer", "demo", "Once", "--max-tokens", "3", "--temperature", "0") {
		t.Errorf("infer: %s", out)
	}
	if n := f.Count("cdn GET"); n != 1 {
		t.Errorf("%d ranges, want 1: %v", n, f.Asked)
	}
	if again := output(t, "", "pull", testRepo, "--file", testModel+".gguf"); again != out {
		t.Errorf("again: %s, want %s", again, out)
	}
	if n := f.Count("cdn GET"); n != 1 {
		t.Errorf("fetched again: %v", f.Asked)
	}
	if slices.Contains(f.Tokens, "cdn") || !slices.Contains(f.Tokens, "hub") {
		t.Errorf("the token went to %v", f.Tokens)
	}

	type model struct {
		Name, Path, Source, Repository, Quantisation string
		Bytes                                        int64
	}
	want := model{testModel, path, "Hugging Face cache", testRepo, "Q4_K_M", 4_284_992}
	if got := outputJSON[[]model](t, "models", "--json"); len(got) != 1 || got[0] != want {
		t.Errorf("models: %+v, want %+v", got, want)
	}
	if found := outputJSON[[]map[string]any](t, "models", "search", "SmolLM2", "135m", "--json"); len(found) != 1 || found[0]["name"] != "smollm2-135m" {
		t.Errorf("search: %v", found)
	}
	for _, name := range []string{"smollm2-135m-Q4_K_M", strings.ToLower(testModel), testModel[:20], "demo"} {
		if out, _, err := command(t, "", "models", "rm", name); err == nil {
			t.Errorf("rm %s: %s", name, out)
		}
	}
	if out := output(t, "", "models", "rm", testModel); out != "removed "+testModel+": 4.3 MB freed\n" {
		t.Errorf("rm: %s", out)
	}
	if got := outputJSON[[]model](t, "models", "--json"); len(got) != 0 {
		t.Errorf("after rm: %+v", got)
	}
}

// llcuda is a process of its own.
func llcuda(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "LLCUDA_TEST_MAIN=1")
	return cmd
}

func process(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := llcuda(args...)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// heard starts llcuda, whose lines for people the test reads as they come.
func heard(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := llcuda(args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(stderr)
}

// checkBlobs fails where a file's bytes are not what its name says.
func checkBlobs(t *testing.T) {
	t.Helper()
	blobs, _ := filepath.Glob(filepath.Join(os.Getenv("HF_HOME"), "hub", "*", "blobs", "*"))
	if len(blobs) == 0 {
		t.Error("no blobs")
	}
	for _, path := range blobs {
		b, err := os.ReadFile(path)
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(b)) != filepath.Base(path) {
			t.Errorf("bad file in the cache: %s, %v", path, err)
		}
	}
}

// TestPullTogether: two processes that want one model fetch it once.
func TestPullTogether(t *testing.T) {
	f, _ := newTestHub(t)
	a, outA := process(t, "pull", "smollm2-135m:q4_k_m")
	b, outB := process(t, "pull", testRepo+":Q4_K_M")
	if err := a.Wait(); err != nil {
		t.Errorf("%v: %s", err, outA)
	}
	if err := b.Wait(); err != nil {
		t.Errorf("%v: %s", err, outB)
	}
	if n := f.Count("cdn GET"); n != 1 {
		t.Errorf("%d ranges for two, want 1", n)
	}
	checkBlobs(t)
}

// TestPullWaits: a process that waits for another one says so, once. Then it
// has what that one fetched, or is interrupted.
func TestPullWaits(t *testing.T) {
	f, _ := newTestHub(t)
	asked, release := f.Hold(t)
	first, firstText := process(t, "pull", "smollm2-135m:q4_k_m")
	<-asked
	for _, c := range []struct {
		name string
		then func(cmd *exec.Cmd) error
		code int
		want string
	}{
		{"interrupted", func(cmd *exec.Cmd) error { return cmd.Process.Signal(os.Interrupt) }, 1, "llcuda: interrupted: 0 bytes of 4.3 MB are kept"},
		{"until it is here", func(*exec.Cmd) error { release(); return nil }, 0, testModel + ": 100 %, 4.3 MB of 4.3 MB"},
	} {
		cmd, lines := heard(t, "pull", "smollm2-135m:q4_k_m")
		lines.Scan()
		if want := "another process is fetching " + testModel + "; waiting for it"; lines.Text() != want {
			t.Errorf("%s: got %q, want %q", c.name, lines.Text(), want)
		}
		if err := c.then(cmd); err != nil {
			t.Error(err)
		}
		said := ""
		for lines.Scan() {
			said += lines.Text() + "\n"
		}
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != c.code || !strings.HasPrefix(said, c.want) || strings.Contains(said, "another process") {
			t.Errorf("%s: exit code %d, want %d; got %q, want %q", c.name, got, c.code, said, c.want)
		}
	}
	if err := first.Wait(); err != nil {
		t.Errorf("%v: %s", err, firstText)
	}
	if n := f.Count("cdn GET"); n != 1 {
		t.Errorf("%d ranges for all, want 1", n)
	}
	checkBlobs(t)
}

// TestPullInterrupted: a signal keeps what came, says so, and the next command
// asks for the rest alone.
func TestPullInterrupted(t *testing.T) {
	f, model := newTestHub(t)
	f.Fault = func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if !cdn {
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(model)-1, len(model)))
		w.WriteHeader(206)
		w.Write(model[:1_000_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	cmd, lines := heard(t, "pull", "smollm2-135m:Q4_K_M")
	for lines.Scan() && !strings.Contains(lines.Text(), " of 4.3 MB") { // something is here
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines.Scan() {
		said += lines.Text() + "\n"
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, "of 4.3 MB are kept; the same command goes on from there") {
		t.Errorf("%v: %s", err, said)
	}
	if got := output(t, "", "models"); !strings.Contains(got, testRepo) || !strings.Contains(got, "unfinished: llcuda pull goes on") {
		t.Errorf("models: %s", got)
	}
	f.Mu.Lock()
	f.Fault, f.Asked = nil, nil
	f.Mu.Unlock()
	output(t, "", "pull", "smollm2-135m:Q4_K_M")
	if f.Count("cdn GET") != 1 || f.Count("cdn GET /"+testRepo+"/"+testModel+".gguf bytes=0-") != 0 {
		t.Errorf("did not go on: %v", f.Asked)
	}
	checkBlobs(t)
}

// TestModelsAdapter: an adapter is listed as one, with its base.
func TestModelsAdapter(t *testing.T) {
	f, _ := newTestHub(t)
	f.Others["poets/lora"] = map[string][]byte{"adapter_config.json": []byte(`{"peft_type": "LORA", "base_model_name_or_path": "some/base"}`),
		"adapter_model.safetensors": make([]byte, 2000)}
	path := strings.TrimSpace(output(t, "", "pull", "poets/lora"))
	if got, want := output(t, "", "models"), regexp.MustCompile(`(?m)^poets/lora +adapter +2\.1 kB +for some/base; Hugging Face cache$`); !want.MatchString(got) {
		t.Errorf("got %s, want %s", got, want)
	}
	type model struct {
		Name, Path, Source, Repository, Base string
		Bytes                                int64
		Adapter                              bool
	}
	want := model{"poets/lora", path, "Hugging Face cache", "poets/lora", "some/base", 2061, true}
	if got := outputJSON[[]model](t, "models", "--json"); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPullDemo(t *testing.T) {
	_, _, err := command(t, "", "pull", "demo")
	if want := "pull: demo is in llcuda itself: nothing to fetch; llcuda infer demo runs it"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
