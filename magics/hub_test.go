package magics

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

// newTestHub serves the embedded model under the names of a real repository,
// and makes its cache and an empty folder the user's.
func newTestHub(t *testing.T) (*hubtest.Server, []byte) {
	model, err := os.ReadFile("../engine/demo/demo.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f := hubtest.New(t)
	f.Others["unsloth/gemma-3-270m-it-GGUF"] = map[string][]byte{"gemma-3-270m-it-Q4_K_M.gguf": model, "gemma-3-270m-it-Q8_0.gguf": append(model, 0),
		"mmproj-F16.gguf": model[:2000], "config.json": []byte("{}")}
	t.Setenv("HF_ENDPOINT", f.Hub.URL)
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("LLCUDA_MODELS", "")
	t.Chdir(t.TempDir())
	return f, model
}

// TestLoadFromHub: each way of writing a name fetches the model once, loads it,
// and finds it again without asking a server.
func TestLoadFromHub(t *testing.T) {
	for _, c := range []struct{ line, name string }{
		{"gemma-3-270m-Q4_K_M", "gemma-3-270m-it-Q4_K_M"},
		{"Gemma-3-270m-it:q4_k_m", "gemma-3-270m-it-Q4_K_M"},
		{"unsloth/gemma-3-270m-it-GGUF:Q4_K_M", "gemma-3-270m-it-Q4_K_M"},
		{"hf.co/unsloth/gemma-3-270m-it-GGUF --file gemma-3-270m-it-Q4_K_M.gguf", "gemma-3-270m-it-Q4_K_M"},
		{"https://huggingface.co/unsloth/gemma-3-270m-it-GGUF/blob/main/gemma-3-270m-it-Q4_K_M.gguf", "gemma-3-270m-it-Q4_K_M"},
		{"unsloth/gemma-3-270m-it-GGUF --file *Q4* --revision main", "gemma-3-270m-it-Q4_K_M"},
		{"gemma3:270m", "gemma-3-270m-it-Q8_0"}, // left open, and memory is plenty
	} {
		t.Run(c.line, func(t *testing.T) {
			f, _ := newTestHub(t)
			in := newTestInterpreter(t)
			got := run(in, "%load "+c.line)
			if !strings.Contains(got, "fetched "+c.name+" from unsloth/gemma-3-270m-it-GGUF: 4.3 MB in ") || !strings.Contains(got, "loaded "+c.name+": llama") {
				t.Fatal(got)
			}
			if (c.line == "gemma3:270m") != strings.Contains(got, "Q8_0 of Q4_K_M Q8_0: with cache and scratch it takes ") {
				t.Error(got)
			}
			asked := len(f.Asked)
			again := run(in, "%load "+c.line)
			if strings.Contains(again, "fetched") || !strings.Contains(again, "loaded "+c.name) || len(f.Asked) != asked {
				t.Errorf("again: %s after %v", again, f.Asked[asked:])
			}
			if again = run(in, "%load "+c.line+" --offline"); !strings.Contains(again, "loaded "+c.name) {
				t.Error(again)
			}
		})
	}
}

// TestLoadInterrupted: a cell that is interrupted keeps what came, and the
// next one goes on from there.
func TestLoadInterrupted(t *testing.T) {
	f, model := newTestHub(t)
	f.Fault = func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if !cdn {
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(model)-1, len(model)))
		w.WriteHeader(206)
		for at := 0; at < 4_000_000 && r.Context().Err() == nil; at += 20_000 {
			w.Write(model[at : at+20_000])
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
		return true
	}
	in := newTestInterpreter(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{live: true}
	go func() {
		for ctx.Err() == nil {
			r.mu.Lock()
			if len(r.messages) > 1 { // a bar that has moved
				cancel()
			}
			r.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	got := runWith(ctx, in, r, "%load gemma-3-270m-q4_k_m")
	if !strings.Contains(got, "display_data: fetching gemma-3-270m-it-Q4_K_M [#") || !strings.Contains(got, "MB/s") ||
		!strings.Contains(got, "KeyboardInterrupt: interrupted: ") || !strings.Contains(got, "B of 4.3 MB are kept; the same line goes on from there") {
		t.Fatal(got)
	}
	f.Mu.Lock()
	f.Fault, f.Asked = nil, nil
	f.Mu.Unlock()
	if got := run(in, "%load gemma-3-270m-q4_k_m"); !strings.Contains(got, "loaded gemma-3-270m-it-Q4_K_M") {
		t.Fatal(got)
	}
	if f.Count("cdn GET /unsloth/gemma-3-270m-it-GGUF/gemma-3-270m-it-Q4_K_M.gguf bytes=0-") != 0 || f.Count("cdn GET") != 1 {
		t.Errorf("did not go on: %v", f.Asked)
	}
}

// TestPullWaits: who waits for another process is told so, and interrupts it or
// has what that one fetched.
func TestPullWaits(t *testing.T) {
	f, _ := newTestHub(t)
	asked, release := f.Hold(t)
	other, line := newTestInterpreter(t), "%pull gemma-3-270m:q4_k_m"
	done := make(chan string)
	go func() { done <- run(other, line) }()
	<-asked
	const waits = "display_data: another process is fetching gemma-3-270m-it-Q4_K_M; waiting for it"
	for _, c := range []struct {
		name string
		live bool
		then func(cancel func())
		want string
	}{
		{"interrupted", true, func(cancel func()) { cancel() }, "error: KeyboardInterrupt: interrupted: 0 bytes of 4.3 MB are kept"},
		{"interrupted, nobody watches", false, func(cancel func()) { cancel() }, "error: KeyboardInterrupt: interrupted: 0 bytes of 4.3 MB are kept"},
		{"until it is here", true, func(func()) { release() }, "update_display_data: fetched gemma-3-270m-it-Q4_K_M from unsloth/gemma-3-270m-it-GGUF"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r := &recorder{live: c.live}
		go func() {
			for ctx.Err() == nil {
				r.mu.Lock()
				told := len(r.messages) > 0
				r.mu.Unlock()
				if told {
					c.then(cancel)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
		got := runWith(ctx, newTestInterpreter(t), r, line)
		cancel()
		if !strings.HasPrefix(got, waits+"\n") || strings.Count(got, "another process") != 1 || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
	if got := <-done; !strings.Contains(got, "fetched gemma-3-270m-it-Q4_K_M") {
		t.Error(got)
	}
}

// TestLoadErrors: each says what to do next.
func TestLoadErrors(t *testing.T) {
	status := func(code int, header ...string) func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		return func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			return true
		}
	}
	for _, c := range []struct {
		line, want string
		fault      func(w http.ResponseWriter, r *http.Request, cdn bool) bool
	}{
		{"unsloth/gemma-3-270m-it-GUF", "not found, or private (401); check the name, or set HF_TOKEN to read what is private; did you mean unsloth/gemma-3-270m-it-GGUF", nil},
		{"google/gemma-3-1b-it", "did you mean gemma-3-1b?", nil},
		{"gemma-3-2b", "no model gemma-3-2b; did you mean gemma-3-1b or gemma-3-4b or", nil},
		{"llama-3.2-1b-Q4_KM", "", nil},
		{"unsloth/gemma-3-270m-it-GGUF:Q5_K_M", "has no model \"Q5_K_M\"; it has gemma-3-270m-it-Q4_K_M.gguf, gemma-3-270m-it-Q8_0.gguf", nil},
		{"unsloth/gemma-3-270m-it-GGUF --revision v2", "no such revision (404); the branches are listed at", nil},
		{"unsloth/gemma-3-270m-it-GGUF --offline", "not in the cache, and no server may be asked; leave out --offline", nil},
		{"gemma-3-270m:Q8_0 --file x.gguf", "names the quantisation Q8_0, and --file names x.gguf; leave one out", nil},
		{"nosuch.gguf --file x.gguf", "is no repository of the hub, so it has no --file", nil},
		{"org/gated", "its terms must be accepted first (403); accept them at", status(403, "X-Error-Code", "GatedRepo")},
		{"org/name", "too many requests (429); try again in 1h0m0s", status(429, "Retry-After", "3600")},
	} {
		t.Run(c.line, func(t *testing.T) {
			f, _ := newTestHub(t)
			f.Fault = c.fault
			got := run(newTestInterpreter(t), "%load "+c.line)
			if !strings.HasPrefix(got, "error: ModelError: ") || !strings.Contains(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// TestPullAndModels: a pulled model is listed with its place, is not removed
// while it is loaded, and goes by its exact name alone.
func TestPullAndModels(t *testing.T) {
	f, _ := newTestHub(t)
	in := newTestInterpreter(t)
	got := run(in, "%pull gemma-3-270m:q4_k_m")
	if !strings.Contains(got, "fetched gemma-3-270m-it-Q4_K_M from unsloth/gemma-3-270m-it-GGUF") || !strings.Contains(got, "gemma-3-270m-it-Q4_K_M is at "+os.Getenv("HF_HOME")) {
		t.Fatal(got)
	}
	if got := run(in, "%pull gemma-3-270m:q4_k_m"); strings.Contains(got, "fetched") || f.Count("cdn GET") != 1 {
		t.Errorf("again: %s", got)
	}
	row := regexp.MustCompile(`(?m)^gemma-3-270m-it-Q4_K_M +Q4_K_M +4\.3 MB +Hugging Face cache: unsloth/gemma-3-270m-it-GGUF$`)
	if got := run(in, "%models"); !row.MatchString(got) {
		t.Error(got)
	}
	if got := run(in, "%models search Gemma 270"); !strings.Contains(got, "gemma-3-270m") || strings.Contains(got, "gemma-3-1b") || !strings.Contains(got, "unsloth/gemma-3-270m-it-GGUF") {
		t.Error(got)
	}
	if got := run(in, "%models search nothing of this"); !strings.HasPrefix(got, `stdout: no short name has "nothing of this"`) {
		t.Error(got)
	}
	for _, c := range []struct{ line, want string }{
		{"%models rm gemma-3-270m", "no model is called exactly gemma-3-270m; did you mean"},
		{"%models rm", "rm: want one name, got 0"},
		{"%models remove x", "remove: want search or rm"},
		{"%load gemma-3-270m-Q4_K_M --silent\n%models rm gemma-3-270m-it-Q4_K_M", "gemma-3-270m-it-Q4_K_M is loaded; %unload gemma-3-270m-it-Q4_K_M first"},
		{"%unload\n%models rm gemma-3-270m-it-Q4_K_M", "removed gemma-3-270m-it-Q4_K_M: 4.3 MB freed"},
		{"%models rm gemma-3-270m-it-Q4_K_M", "no model in Hugging Face's cache is called exactly"},
		{"%load gemma-3-270m-Q4_K_M --offline", "not in the cache, and no server may be asked"},
		{"%pull demo", "demo is in llcuda itself"},
		{"%pull http://localhost:8000/v1", "has no file to fetch"},
		{"%gguf show gemma-3-270m-Q4_K_M", "is not on this machine; %pull gemma-3-270m-Q4_K_M fetches it"},
	} {
		if got := run(in, c.line); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.line, got, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "mine.gguf")
	if err := os.WriteFile(file, []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LLCUDA_MODELS", filepath.Dir(file))
	if got := run(in, "%models rm mine"); !strings.Contains(got, "is a file of yours and stays") {
		t.Error(got)
	}
}

// TestLoadFaults: a hub that fails or lies gives the right model or a clear
// error, and the next %load the right one.
func TestLoadFaults(t *testing.T) {
	cut := false
	for _, c := range []struct {
		name, want string
		fault      func(f *hubtest.Server)
	}{
		{"wrong bytes", "wrong bytes: their sum is", func(f *hubtest.Server) { f.Linked = strings.Repeat("ab", 32) }},
		{"a size too large", "wrong size", func(f *hubtest.Server) { f.Size = 5_000_000 }},
		{"a size too small", "wrong size", func(f *hubtest.Server) { f.Size = 4_000_000 }},
		{"whole files only", "", func(f *hubtest.Server) { f.Whole = true }},
		{"an address that expires", "", func(f *hubtest.Server) {
			first := true
			f.Fault = func(w http.ResponseWriter, _ *http.Request, cdn bool) bool {
				if first && cdn {
					first = false
					w.WriteHeader(403)
					return true
				}
				return false
			}
		}},
		{"cut midway", "", func(f *hubtest.Server) {
			f.Fault = func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
				if !cdn || cut {
					return false
				}
				cut = true
				b := f.Others["unsloth/gemma-3-270m-it-GGUF"]["gemma-3-270m-it-Q4_K_M.gguf"]
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(b)-1, len(b)))
				w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				w.WriteHeader(206)
				w.Write(b[:1_000_000])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _ := newTestHub(t)
			t.Setenv("HF_TOKEN", "hf_secret")
			c.fault(f)
			in := newTestInterpreter(t)
			got := run(in, "%load gemma-3-270m-Q4_K_M")
			if c.want == "" && !strings.Contains(got, "loaded gemma") || c.want != "" && (!strings.Contains(got, c.want) || strings.Contains(got, "loaded gemma")) {
				t.Fatalf("%s\nwant %q", got, c.want)
			}
			if strings.Contains(got, "secret") || slices.Contains(f.Tokens, "cdn") {
				t.Errorf("the token or a signature went out: %s, %v", got, f.Tokens)
			}
			f.Mu.Lock()
			f.Fault, f.Linked, f.Size, f.Whole = nil, "", 0, false
			f.Mu.Unlock()
			if got := run(in, "%load gemma-3-270m-Q4_K_M"); !strings.Contains(got, "loaded gemma") {
				t.Errorf("after the fault: %s", got)
			}
		})
	}
}

// TestAdapterFromHub: adapters are repositories, too, and so is the base that
// one names; both are fetched once.
func TestAdapterFromHub(t *testing.T) {
	dir := adapterFiles(t)
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	f, _ := newTestHub(t)
	config := []byte(strings.Replace(string(file("llama/plain/adapter_config.json")), "tiny/llama", "tiny/llama-unsloth-bnb-4bit", 1))
	f.Others["poets/tiny-lora"] = map[string][]byte{"adapter_config.json": config, "adapter_model.safetensors": file("llama/plain/adapter_model.safetensors"), "README.md": nil}
	f.Others["poets/pickled"] = map[string][]byte{"adapter_config.json": config, "adapter_model.bin": []byte("x")}
	f.Others["tiny/llama-GGUF"] = map[string][]byte{"llama-F32.gguf": file("llama.gguf")}
	in := newTestInterpreter(t)
	run(in, "%load "+dir+"/llama.gguf")
	if got := run(in, "%adapter add poets/tiny-lora --name p"); !strings.Contains(got, "fetched tiny-lora from poets/tiny-lora") || !strings.Contains(got, "attached p: LoRA of rank 4") {
		t.Fatal(got)
	}
	asked := len(f.Asked)
	if got := run(in, "%adapter add poets/tiny-lora"); strings.Contains(got, "fetched") || !strings.Contains(got, "attached tiny-lora") || len(f.Asked) != asked {
		t.Errorf("again: %s after %v", got, f.Asked[asked:])
	}
	for code, want := range map[string]string{
		"%adapter add poets/pickled": "poets/pickled has no adapter_model.safetensors: it is no adapter that PEFT saved as safetensors",
		"%adapter add poets/nosuch":  "poets/nosuch",
	} {
		if got := run(in, code); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
	row := regexp.MustCompile(`(?m)^poets/tiny-lora +adapter +[0-9.]+ kB +for tiny/llama-unsloth-bnb-4bit; Hugging Face cache$`)
	if got := run(in, "%models"); !row.MatchString(got) {
		t.Error(got)
	}
	if got := run(in, "%models --json"); !strings.Contains(got, `"adapter": true`) || !strings.Contains(got, `"base": "tiny/llama-unsloth-bnb-4bit"`) {
		t.Error(got)
	}
	for _, line := range []string{"%models rm po", "%adapter add po"} {
		if got := in.Complete(t.Context(), line, len(line)).Matches; !slices.Equal(got, []string{"poets/tiny-lora"}) {
			t.Errorf("%s: %v", line, got)
		}
	}
	// The folder in the cache is an adapter like any other. Its base was
	// quantised by others; a GGUF of the same model is here.
	cached, err := filepath.Glob(filepath.Join(os.Getenv("HF_HOME"), "hub", "models--poets--tiny-lora", "snapshots", "*"))
	if err != nil || len(cached) != 1 {
		t.Fatal(cached, err)
	}
	if got := run(in, "%pull tiny/llama-GGUF"); !strings.Contains(got, "fetched") {
		t.Fatal(got)
	}
	if got := run(in, "%load "+cached[0]+" --as both"); !strings.Contains(got, "the base tiny/llama-unsloth-bnb-4bit is here as llama-F32") || !strings.Contains(got, "attached") {
		t.Error(got)
	}
	run(in, "%unload --all")
	if got := run(in, "%models rm poets/tiny-lora"); !strings.Contains(got, "removed poets/tiny-lora: ") || row.MatchString(run(in, "%models")) {
		t.Error(got)
	}
}
