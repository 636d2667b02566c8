package magics

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

func TestTakeFlags(t *testing.T) {
	for _, c := range []struct{ args, prose, flags string }{
		{"What is AI?", "What is AI?", ""},
		{"What is AI? --max-tokens 100", "What is AI?", "max-tokens=100"},
		{"--max-tokens 100 What is AI?", "What is AI?", "max-tokens=100"},
		{"--max-tokens=100 What is AI?", "What is AI?", "max-tokens=100"},
		{"--max_tokens 100 What", "What", "max-tokens=100"},
		{"What --json is AI?", "What is AI?", "json=true"},
		{"What's AI? Don't say", "What's AI? Don't say", ""},
		{"two  blanks stay", "two  blanks stay", ""},
		{`"in quotes --json" --top-k 3`, "in quotes --json", "top-k=3"},
		{`'a "b" c'`, `a "b" c`, ""},
		{`say "hello" twice`, `say "hello" twice`, ""},
		{`"one" and "two"`, `"one" and "two"`, ""},
		{"-- git commit --amend", "git commit --amend", ""},
		{"--json -- --seed 1", "--seed 1", "json=true"},
		{"Tell me -- please --json", "Tell me -- please", "json=true"},
		{"Tell me --", "Tell me --", ""},
		{"a-b --- c", "", "unknown"},
		{"git commit --amend", "", "unknown"},
		{"x --stop 'a b' --stop \\n", "x", "stop=[a b,n]"},
		{`x --stop "\n"`, "x", `stop=[\n]`},
		{"x --top-k", "", "needs a value"},
		{"x --top-k many", "", "--top-k many: want a whole number"},
		{"-5 degrees", "-5 degrees", ""},
		{"", "", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			f := registry["infer"].flagSet()
			got, err := takeFlags(f, c.args)
			var set []string
			f.Visit(func(f *pflag.Flag) { set = append(set, f.Name+"="+f.Value.String()) })
			flags := strings.Join(set, " ")
			if err != nil {
				if got != "" || !strings.Contains(err.Error(), c.flags) || c.flags == "" {
					t.Fatalf("got %q, %v, want %q", got, err, c.flags)
				}
				return
			}
			if got != c.prose || flags != c.flags {
				t.Errorf("got %q with %s, want %q with %s", got, flags, c.prose, c.flags)
			}
		})
	}
}

// greedy is the demo's continuation, by the engine alone.
func greedy(t *testing.T, prompt string, n int) string {
	t.Helper()
	m := demoModel(t)
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids := m.Tokenizer().Encode(prompt, tokenizer.Options{NoEOS: true})
	var text strings.Builder
	for tok, err := range s.Generate(context.Background(), ids, engine.GenerateOptions{MaxTokens: n}) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(tok.Text)
	}
	return text.String()
}

var numbersInSummary = regexp.MustCompile(`[0-9.]+ (tokens/s|s|ms|µs)\b`)

func TestInfer(t *testing.T) {
	in := newTestInterpreter(t)
	got := run(in, "%load demo")
	if ok, _ := regexp.MatchString(`^display_data: loaded demo: llama, [0-9.]+ M parameters, \w+, [0-9.]+ MB, context \d+, on cpu, in [0-9.]+ (µs|ms|s)$`, got); !ok {
		t.Errorf("%%load shows %q", got)
	}
	text := greedy(t, "What is AI?", 8)
	want := "stdout: " + strings.TrimSuffix(text, "\n") + "\n\ndisplay_data: N tokens/s · "
	for _, code := range []string{
		"%infer What is AI? --max-tokens 8 --temperature 0",
		"%infer --max-tokens 8 --temperature 0 What is AI?",
		"%%infer --max-tokens 8 --temperature 0\nWhat is AI?\n",
		"%infer --model demo --max-tokens 8 --temperature 0 'What is AI?'",
	} {
		got := numbersInSummary.ReplaceAllString(run(in, code), "N $1")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q…", code, got, want)
		}
		ids := in.models.all[0].model.Tokenizer().Encode("What is AI?", tokenizer.Options{NoEOS: true})
		if tail := count(len(ids), "prompt token") + " · 8 new tokens · first token after N "; !strings.Contains(got, tail) || !strings.HasSuffix(got, " · stop: max-tokens") {
			t.Errorf("%s: got %q, want %q in it", code, got, tail)
		}
	}
}

func TestInferJSONAndVar(t *testing.T) {
	in := newTestInterpreter(t)
	got := run(in, "%load demo --silent --as d\n%infer Once --max-tokens 4 --temperature 0 --json --var story --seed 5")
	line, ok := strings.CutPrefix(got, "stdout: ")
	var v struct {
		Model, Prompt, Text string
		Stop                string `json:"stop_reason"`
		Prompted            int    `json:"prompt_tokens"`
		New                 int    `json:"new_tokens"`
		Seed                uint64
	}
	if err := json.Unmarshal([]byte(line), &v); !ok || err != nil || strings.Count(line, "\n") != 1 {
		t.Fatalf("%v: %q", err, got)
	}
	text := greedy(t, "Once", 4)
	if v.Model != "d" || v.Prompt != "Once" || v.Text != text || v.Stop != "length" || v.New != 4 || v.Prompted < 1 || v.Seed != 5 {
		t.Errorf("got %+v, want the text %q", v, text)
	}
	if got, _ := in.vars.Get("story"); got != text {
		t.Errorf("--var holds %q, want %q", got, text)
	}
}

func TestInferSameSeedSameText(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	a := run(in, "%infer Once upon a time --max-tokens 20 --temperature 1 --seed 3 --json --var a")
	run(in, "%infer Once upon a time --max-tokens 20 --temperature 1 --seed 3 --json --var b")
	x, _ := in.vars.Get("a")
	y, _ := in.vars.Get("b")
	if x != y || x == "" || x == nil {
		t.Errorf("got %q, then %q\n%s", x, y, a)
	}
}

// A text whose seed was not asked for can be had again: the summary names it.
func TestInferNamesItsSeed(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	const code = "%infer Once upon a time --max-tokens 20 --temperature 1"
	first := run(in, code)
	seed := regexp.MustCompile(` · seed (\d+) · stop: `).FindStringSubmatch(first)
	if seed == nil {
		t.Fatalf("no seed in %q", first)
	}
	again := run(in, code+" --seed "+seed[1])
	text, _, _ := strings.Cut(first, "display_data")
	if !strings.HasPrefix(again, text) || strings.Contains(again, " seed ") {
		t.Errorf("got %q with the seed of %q", again, first)
	}
	if got := run(in, code+" --temperature 0"); strings.Contains(got, " seed ") {
		t.Errorf("the likeliest text needs no seed, got %q", got)
	}
}

func TestLoadTellsTokenizerWarnings(t *testing.T) {
	f := demoFile(t)
	f.Meta = slices.DeleteFunc(f.Meta, func(kv gguf.KV) bool { return kv.Key == "tokenizer.ggml.pre" })
	path := saved(t, f, "odd.gguf")
	in := newTestInterpreter(t)
	const want = "tokenizer: the file names no pre-tokenizer"
	if got := run(in, "%load "+path); strings.Count(got, want) != 1 || !strings.Contains(got, "stderr: "+want) {
		t.Errorf("got %q, want %q once", got, want)
	}
	if got := run(in, "%load --silent "+path); got != "" {
		t.Errorf("--silent shows %q", got)
	}
	if got := run(in, "%load demo"); strings.Contains(got, "tokenizer:") {
		t.Errorf("the demo: got %q", got)
	}
}

func TestInferStop(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	text := greedy(t, "Once upon a time", 12)
	stop := strings.Fields(text)[1]
	got := run(in, "%infer Once upon a time --temperature 0 --max-tokens 12 --stop "+stop)
	want := text[:strings.Index(text, stop)]
	if !strings.HasPrefix(got, "stdout: "+want+"\n") || !strings.HasSuffix(got, "stop: stop text") {
		t.Errorf("got %q, want %q and to stop there", got, want)
	}
}

// slow is a device whose tokens take longer than text waits in a stream: the
// demo has told its story before that.
type slow struct{ tensor.Device }

func (s *slow) New(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	return s.own(s.Device.New(d, shape...))
}

func (s *slow) Place(name string, d tensor.DType, shape []int, data []byte) (*tensor.Tensor, error) {
	return s.own(s.Device.Place(name, d, shape, data))
}

func (s *slow) own(t *tensor.Tensor, err error) (*tensor.Tensor, error) {
	if t != nil {
		t.Device = s
	}
	return t, err
}

func (s *slow) Compile(ops []tensor.Op) (tensor.Program, error) {
	p, err := s.Device.Compile(ops)
	return slowProgram{p}, err
}

type slowProgram struct{ tensor.Program }

func (p slowProgram) Run() error {
	time.Sleep(5 * time.Millisecond)
	return p.Program.Run()
}

// An interrupt keeps what was produced, within one token.
func TestInferInterrupt(t *testing.T) {
	in := newTestInterpreter(t)
	in.o.LoadOptions = func(o *engine.Options) { o.Device = &slow{o.Device} }
	run(in, "%load demo")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &recorder{onText: func(string) { cancel() }}
	done := make(chan string)
	go func() { done <- runWith(ctx, in, r, "%infer Once upon a time --max-tokens 0 --var said") }()
	select {
	case got := <-done:
		if !strings.Contains(got, "stop: interrupted") || !strings.Contains(got, "error: KeyboardInterrupt: interrupted") {
			t.Errorf("got %q", got)
		}
		if said, _ := in.vars.Get("said"); said == "" || !strings.HasPrefix(r.stdout.String(), said.(string)) {
			t.Errorf("--var holds %q, the cell %q", said, r.stdout.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still running")
	}
	if got := run(in, "%infer Once --max-tokens 2"); strings.Contains(got, "error") {
		t.Errorf("afterwards: %s", got)
	}
}

func TestShellInterrupt(t *testing.T) {
	in := newTestInterpreter(t)
	for _, code := range []string{"!echo go; sleep 600", "!echo go; while :; do :; done", "!trap '' INT; echo go; sleep 600 & wait; sleep 600"} {
		ctx, cancel := context.WithCancel(context.Background())
		start := time.Now()
		got := runWith(ctx, in, &recorder{onText: func(string) { cancel() }}, code)
		if got != "stdout: go\n\nerror: KeyboardInterrupt: interrupted" {
			t.Errorf("%s: got %q", code, got)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %s to stop", code, took)
		}
		cancel()
	}
}

func TestInferMistakes(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	long := strings.Repeat("word ", 30000)
	for _, c := range []struct{ code, want string }{
		{"%infer", "UsageError: %infer: the prompt is missing"},
		{"%%infer\n\n", "UsageError: %%infer: the prompt is missing"},
		{"%infer a --temperature -1", "--temperature -1: want 0 to 100"},
		{"%infer a --top-p 1.5", "--top-p 1.5: want 0 to 1"},
		{"%infer a --min-p nan", "--min-p NaN: want 0 to 1"},
		{"%infer a --max-tokens -3", "--max-tokens -3: want 0 or more"},
		{"%infer a --repeat-penalty 0", "--repeat-penalty 0: want more than 0"},
		{"%infer a --var 'x y'", "--var x y: want a name"},
		{"%infer a --model demp", "no loaded model is called demp; did you mean demo?"},
		{"%infer a --amend", "unknown flag --amend; put -- before the text"},
		{"%infer " + long, "larger context"},
		{"%unload nope", "no loaded model is called nope; loaded: demo"},
		{"%unload --all demo", "--all takes no names"},
		{"%load demo --ctx -1", "--ctx -1: want at least 1"},
		{"%load demo --batch 0", "--batch 0: want at least 1"},
		{"%load demo --cache-type q4_k", "--cache-type q4_k: want f16, bf16, q8_0 or f32"},
		{"%load demo --gpu-layers 3", "load without GPU layers to run on the CPU; %gpu says what is missing"},
	} {
		if got := run(in, c.code); !strings.Contains(got, c.want) || !strings.Contains(got, "error: ") {
			t.Errorf("%.60s: got %q, want %q", c.code, got, c.want)
		}
	}
}

func TestLoadMistakes(t *testing.T) {
	in := newTestInterpreter(t)
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.gguf")
	if err := os.WriteFile(broken, []byte("no model at all, only text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"%load " + broken, "%gguf show " + broken} {
		got := run(in, code)
		if !strings.Contains(got, "error: ModelError: gguf: ") || !strings.Contains(got, "the file is damaged or no model") {
			t.Errorf("%s: got %q", code, got)
		}
		if strings.Count(got, broken) != 1 {
			t.Errorf("%s: got %q, want the file named once", code, got)
		}
	}
	if got := run(in, "%load demo --ctx 100000000"); !strings.Contains(got, "error: ModelError: ") {
		t.Errorf("a context of 100 million tokens: got %q", got)
	}
	if names := in.models.names(); len(names) != 0 {
		t.Errorf("loaded: %q", names)
	}
}

func TestModels(t *testing.T) {
	in := newTestInterpreter(t)
	t.Chdir(t.TempDir())
	t.Setenv("LLCUDA_MODELS", "")
	if got := run(in, "%load demo\n%load demo --as second --ctx 64\n%load demo --as second --ctx 128"); strings.Contains(got, "error") {
		t.Fatal(got)
	}
	if d := cmp.Diff([]string{"demo", "second"}, in.models.names()); d != "" {
		t.Error(d)
	}
	got := run(in, "%models")
	if !regexp.MustCompile(`(?m)^second +llama .* 128 +cpu +loaded, current$`).MatchString(got) || !regexp.MustCompile(`(?m)^demo +llama .* loaded$`).MatchString(got) {
		t.Errorf("got %s", got)
	}
	if got := run(in, "%unload\n%unload --all\n%infer x"); got[:strings.Index(got, "\nline")] != "stdout: unloaded second\nunloaded demo\n\nerror: ModelError: no model loaded; try %load demo" {
		t.Errorf("got %q", got)
	}
}

func TestProgressBar(t *testing.T) {
	r := &recorder{live: true}
	in := newTestInterpreter(t)
	in.o.LoadOptions = func(o *engine.Options) { // the load of a large file
		bar := o.Progress
		o.Progress = func(done, total int64) { bar(done, total) }
		time.Sleep(progressDelay + 10*time.Millisecond)
		bar(25_000_000, 100_000_000)
		bar(50_000_000, 100_000_000) // too soon to show
	}
	got := runWith(context.Background(), in, r, "%load demo")
	lines := strings.Split(got, "\n")
	if len(lines) < 2 || lines[0] != "display_data: loading demo [#######                       ] 25 %, 25.0 MB of 100.0 MB" ||
		strings.Contains(got, "50 %") || !strings.HasPrefix(lines[len(lines)-1], "update_display_data: loaded demo: ") {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(r.html[0], `<progress value="25000000" max="100000000">`) {
		t.Errorf("HTML %s", r.html[0])
	}
}

func TestTime(t *testing.T) {
	got := run(newTestInterpreter(t), "%time %tensor 1 + 2")
	if ok, _ := regexp.MatchString(`^execute_result: 3\nstdout: wall time [0-9.]+ (µs|ms|s)(, CPU time .*)?\n$`, got); !ok {
		t.Errorf("got %q", got)
	}
	if got := run(newTestInterpreter(t), "%%time\n%tensor 1\n%nope"); !strings.Contains(got, "wall time") || !strings.Contains(got, "no magic %nope") {
		t.Errorf("got %q", got)
	}
}

func TestGGUFTensor(t *testing.T) {
	in := newTestInterpreter(t)
	f := demoFile(t)
	w := f.Tensor("token_embd.weight")
	first := make([]float32, w.Shape[1])
	w.DType.Decode(first, w.Data[:w.DType.Bytes(len(first))])
	want := "execute_result: " + w.DType.String()
	if got := run(in, "%gguf tensor demo token_embd.weight --as W\n%tensor W.dtype"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	v, err := in.env.Eval(context.Background(), "W[0, 1].item()")
	if err != nil || v != float64(first[1]) {
		t.Errorf("W[0, 1] is %v, %v, want %v", v, err, first[1])
	}
	if got := run(in, "%gguf check demo"); strings.Contains(got, "error") {
		t.Errorf("%%gguf check demo: %s", got)
	}
}
