package magics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/jupyter"
)

// A recorder is a front end on paper: each message is one line or more.
type recorder struct {
	mu       sync.Mutex
	stdout   strings.Builder
	messages []string // in order, text/plain of displays; streams joined
	html     []string
	live     bool
	onText   func(string) // called with each stream text
}

func (r *recorder) Interactive() bool { return r.live }

func (r *recorder) Send(msgType string, content map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch msgType {
	case "stream":
		text, name := content["text"].(string), content["name"].(string)
		if name == "stdout" {
			r.stdout.WriteString(text)
		}
		prefix := name + ": "
		if n := len(r.messages); n > 0 && strings.HasPrefix(r.messages[n-1], prefix) {
			r.messages[n-1] += text
		} else {
			r.messages = append(r.messages, prefix+text)
		}
		if r.onText != nil {
			r.onText(text)
		}
	case "clear_output":
		r.messages = append(r.messages, fmt.Sprint("clear_output wait=", content["wait"]))
	default:
		data := content["data"].(map[string]any)
		r.messages = append(r.messages, fmt.Sprintf("%s: %s", msgType, data["text/plain"]))
		if h, ok := data["text/html"].(string); ok {
			r.html = append(r.html, h)
		}
	}
}

func newTestInterpreter(t *testing.T) *Interpreter {
	t.Helper()
	in := New(Options{Version: "1.2.3", Demo: demo.Open,
		GPU: func() ([]nvml.Card, error) { return nil, nvml.ErrNoLibrary }})
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

// run executes a cell and returns what the front end sees, the error last.
func run(in *Interpreter, code string) string {
	r := &recorder{}
	return runWith(context.Background(), in, r, code)
}

func runWith(ctx context.Context, in *Interpreter, r *recorder, code string) string {
	d := jupyter.NewDisplay(r)
	err := in.Execute(ctx, jupyter.Cell{Code: code, Count: 1}, d)
	d.Flush()
	for _, p := range d.Payloads() {
		r.messages = append(r.messages, fmt.Sprintf("%s: %s", p["source"], p["data"].(map[string]any)["text/plain"]))
	}
	if err != nil {
		var e *jupyter.Error
		if !errors.As(err, &e) {
			return fmt.Sprintf("error without a name: %v", err)
		}
		r.messages = append(r.messages, "error: "+e.Error())
		if len(e.Traceback) > 1 {
			r.messages = append(r.messages, strings.Join(e.Traceback, "\n"))
		}
	}
	return strings.Join(r.messages, "\n")
}

func TestCells(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("LLCUDA_TEST", "value")
	t.Setenv("MY_TOKEN", "hush")
	for _, c := range []struct{ name, code, want string }{
		{"empty", "", ""},
		{"blank and comments", "\n  \n# one\n// two\n", ""},
		{"expression", "%tensor 1 + 2", "execute_result: 3"},
		{"assignment shows nothing", "%tensor A = 3", ""},
		{"several lines", "%tensor A = 3\n\n# then\n%tensor A * 2\n%tensor A", "display_data: 6\nexecute_result: 3"},
		{"last is no tensor", "%tensor 1\n!true", "display_data: 1"},
		{"continuation", "%tensor 1 + \\\n 2", "execute_result: 3"},
		{"cell magic", "%%tensor\nA = 2\nA\nA ** 3", "display_data: 2\nexecute_result: 8"},
		{"cell magic below blanks", "\n# first\n%%tensor\n5", "execute_result: 5"},
		{"print", "%tensor print 1, 'a'", "stdout: 1 a\n"},
		{"manual seed", "%tensor manual_seed(3)", ""},
		{"caret", "%tensor 1 + * 2", "error: TensorError: column 13: unexpected \"*\", want a value\n" +
			"%tensor 1 + * 2\n            ^\nTensorError: column 13: unexpected \"*\", want a value"},
		{"caret in a cell", "%%tensor\nA = 1\nB + 1", "error: TensorError: line 3, column 1: no variable B; %tensor list shows what there is\n" +
			"B + 1\n^\nTensorError: line 3, column 1: no variable B; %tensor list shows what there is"},
		{"first failure stops", "!echo a\n%nope\n!echo b", "stdout: a\n\nerror: UnknownMagic: no magic %nope; %lsmagic lists them all"},
		{"unknown", "%zzzzzz", "error: UnknownMagic: no magic %zzzzzz; %lsmagic lists them all"},
		{"a program's name", "%uname -a", "error: UnknownMagic: no magic %uname; did you mean !uname?"},
		{"close", "%lod demo", "error: UnknownMagic: no magic %lod; did you mean %load?"},
		{"unknown cell magic", "%%infre\nx", "error: UnknownMagic: no magic %%infre; did you mean %infer?"},
		{"go", "x := 1", "error: GoError: line 1: x := 1: Go in cells comes with a later version; %tensor computes, !go run file.go runs Go programs, %help lists the commands"},
		{"go stops before all", "!echo a\nfmt.Println(1)\nx", "error: GoError: line 2: fmt.Println(1): Go in cells comes with a later version; %tensor computes, !go run file.go runs Go programs, %help lists the commands"},
		{"percent forgotten", "load demo", "error: GoError: line 1: load demo: Go in cells comes with a later version; did you mean %load demo?"},
		{"shell", "!echo out", "stdout: out\n"},
		{"shell, stderr", "!echo err >&2", "stderr: err\n"},
		{"shell fails", "!echo a; exit 3", "stdout: a\n\nerror: ShellError: !echo a; exit 3 ended with exit code 3; its output above says why"},
		{"shell continues", "!echo a \\\n  b", "stdout: a b\n"},
		{"shell, empty", "!", "error: UsageError: ! runs a shell command, as in !ls"},
		{"bash", "%%bash\nfor i in 1 2; do\n  echo $i\ndone", "stdout: 1\n2\n"},
		{"clear", "%clear", "clear_output wait=false"},
		{"clear, wait", "%clear --wait", "clear_output wait=true"},
		{"env", "%env LLCUDA_TEST", "stdout: value\n"},
		{"env, set", "%env LLCUDA_TEST=a b\n!echo $LLCUDA_TEST", "stdout: LLCUDA_TEST=a b\na b\n"},
		{"env, secret", "%env MY_TOKEN=x", "stdout: MY_TOKEN=<hidden>\n"},
		{"env, unset", "%env NOT_THERE", "error: NameError: NOT_THERE is not set; %env NOT_THERE=VALUE sets it"},
		{"cd", "%cd /\n!pwd\n%cd -\n", "stdout: /\n/\n" + wd(t) + "\n"},
		{"cd, blanks", "!mkdir 'a b'\n%cd a b\n%cd -", "stdout: " + filepath.Join(wd(t), "a b") + "\n" + wd(t) + "\n"},
		{"load, blanks", "%load a b.gguf", "error: UsageError: %load: want one model, got 2; a path with blanks stands in quotes; usage: %load [flags] MODEL; %load? says more"},
		{"load, home", "%load ~", "error: ModelError: " + os.Getenv("HOME") + " is a folder without .gguf files, and no checkpoint; give the model's path"},
		{"unload, nothing there", "%unload --all", "stdout: no model was loaded\n"},
		{"cd, no folder", "%cd /no/such", "error: FileError: /no/such: no such file or directory; !ls shows what is here"},
		{"reset", "%tensor A = zeros(3)\n%reset\n%tensor list", "stdout: forgot 1 variable\n\ndisplay_data: no variables yet; make one with %tensor A = randn(2, 3)"},
		{"no model", "%infer hello", "error: ModelError: no model loaded; try %load demo"},
		{"no such file", "%load /no/such/model.gguf", "error: ModelError: no model /no/such/model.gguf: neither a file nor a short name; %models lists what is here, %models search what can be fetched, %load demo always works"},
		{"near demo", "%load demp", "error: ModelError: no model demp; did you mean demo?"},
		{"repository", "%load unsloth/gemma-3-1b-it-GGUF", "error: ModelError: hub: unsloth/gemma-3-1b-it-GGUF at main: not in the cache, and no server may be asked; leave out --offline and unset HF_HUB_OFFLINE to fetch"},
		{"missing argument", "%load", "error: UsageError: %load: the model is missing; demo is always there; usage: %load [flags] MODEL; %load? says more"},
		{"unknown flag", "%load demo --ctxx 3", "error: UsageError: %load: unknown flag --ctxx; did you mean --ctx?; usage: %load [flags] MODEL; %load? says more"},
		{"bad flag", "%load demo --ctx x", "error: UsageError: %load: --ctx x: want a whole number; usage: %load [flags] MODEL; %load? says more"},
		{"open quote", "%load 'demo", "error: UsageError: %load: a ' opens and does not close; quote it as \"'\"; usage: %load [flags] MODEL; %load? says more"},
		{"line for a cell magic", "%bash ls", "error: UsageError: %bash: it takes the whole cell: write %%bash on the first line; usage: %%bash; %bash? says more"},
		{"cell for a line magic", "%%gpu\n1", "error: UsageError: %%gpu: there is no %%gpu; write it as a line, %gpu; usage: %gpu [flags] [use N|cpu|auto | reset]; %gpu? says more"},
		{"late cell magic", "%clear\n%%tensor\n1", "error: GoError: line 3: 1: Go in cells comes with a later version; %tensor computes, !go run file.go runs Go programs, %help lists the commands"},
		{"late cell magic alone", "%tensor 2\n%%tensor", "display_data: 2\nerror: UsageError: %%tensor: it takes a whole cell: put it on the first line of one; usage: %tensor STATEMENT or %%tensor STATEMENT; %tensor? says more"},
		{"help of nothing", "nothing?", "error: NameError: nothing is known as nothing; %lsmagic lists the magics, %tensor list the variables"},
		{"help of a function", "softmax?", "page: softmax(A, dim=-1)\n\nexp(x) divided by its sum along dimension dim\n"},
		{"help before", "?%clear", "page: %clear [flags]\n\nclears the output of this cell\n\n  --wait  clear when the next output comes\n"},
		{"help of a variable", "%tensor A = zeros(2, 3)\nA?", "page: A\n\ntensor: f32 (2, 3) on cpu, 24 bytes\n"},
		{"gguf get", "%gguf get demo general.architecture", "execute_result: llama"},
		{"gguf, no key", "%gguf get demo general.architectur", "error: ModelError: demo has no key general.architectur; did you mean general.architecture?"},
		{"gguf, usage", "%gguf shw demo", "error: UsageError: %gguf: want show, check, get or tensor, and a model; usage: %gguf [flags] show|check MODEL, get MODEL KEY, or tensor MODEL NAME; %gguf? says more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := withoutLine(run(newTestInterpreter(t), c.code))
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// withoutLine drops the traceback that names the failing line of a cell.
func withoutLine(s string) string {
	if i := strings.Index(s, "\nline "); i >= 0 && strings.Contains(s[:i], "error: ") {
		return s[:i]
	}
	return s
}

func wd(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFailingLineIsNamed(t *testing.T) {
	d := jupyter.NewDisplay(&recorder{})
	err := newTestInterpreter(t).Execute(context.Background(), jupyter.Cell{Code: "\n%tensor 1\n%lod x"}, d)
	var e *jupyter.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := []string{"line 3: %lod x", "UnknownMagic: no magic %lod; did you mean %load?"}
	if d := cmp.Diff(want, e.Traceback); d != "" {
		t.Error(d)
	}
	err = newTestInterpreter(t).Execute(context.Background(), jupyter.Cell{Code: "%tensor 1\nx := 1"}, d)
	if !errors.As(err, &e) || len(e.Traceback) != 1 || e.Traceback[0] != e.Error() {
		t.Errorf("Go code: got %#v, want its one line", err)
	}
}

func TestTensorResultHTML(t *testing.T) {
	in := newTestInterpreter(t)
	r := &recorder{}
	runWith(context.Background(), in, r, "%tensor tensor([[1, 2], [3, 4]])")
	want := `<div><table><tr><td style="text-align:right;font-family:monospace">1</td><td style="text-align:right;font-family:monospace">2</td></tr>` +
		`<tr><td style="text-align:right;font-family:monospace">3</td><td style="text-align:right;font-family:monospace">4</td></tr></table>` +
		`<div style="opacity:.75">i64 (2, 2) on cpu, 32 bytes</div></div>`
	if d := cmp.Diff([]string{want}, r.html); d != "" {
		t.Error(d)
	}
}

// HTML is escaped, has no scripts and no colours that a theme could clash with.
func TestHTML(t *testing.T) {
	in := newTestInterpreter(t)
	in.o.GPU = func() ([]nvml.Card, error) {
		return []nvml.Card{{Name: "<script>alert(1)</script>", TempC: -1, Utilisation: 3}}, nil
	}
	r := &recorder{}
	for _, code := range []string{"%gpu", "%lsmagic", "%help load", "%models", "%tensor randn(3, 4)", "%tensor randn(2, 2, 2)",
		"%tensor zeros(5000, 50)", "%tensor A = '<script>'\n%tensor list", "%load demo", "%infer hi --max-tokens 2"} {
		if got := runWith(context.Background(), in, r, code); strings.Contains(got, "error: ") {
			t.Fatal(got)
		}
	}
	if len(r.html) < 10 {
		t.Fatalf("%d HTML outputs", len(r.html))
	}
	for _, h := range r.html {
		for _, bad := range []string{"<script", "color:", "#", "background", "on_load", "javascript"} {
			if strings.Contains(strings.ReplaceAll(h, "&#", "&"), bad) {
				t.Errorf("%q in %s", bad, h)
			}
		}
	}
}

func TestGPU(t *testing.T) {
	in := newTestInterpreter(t)
	t.Setenv("COLAB_RELEASE_TAG", "x")
	want := "display_data: no GPU: no NVIDIA driver library (libnvidia-ml.so.1) on this machine\n" +
		"Runtime → Change runtime type → T4 GPU, then connect again.\n" +
		"Everything works on the CPU meanwhile, only slower.\n"
	if d := cmp.Diff(want, run(in, "%gpu")); d != "" {
		t.Error(d)
	}
	want = `stdout: {"gpus":[],"error":"no NVIDIA driver library (libnvidia-ml.so.1) on this machine",` +
		`"hint":"Runtime → Change runtime type → T4 GPU, then connect again."}` + "\n"
	if d := cmp.Diff(want, run(in, "%gpu --json")); d != "" {
		t.Error(d)
	}
	in.o.GPU = func() ([]nvml.Card, error) {
		return []nvml.Card{{Index: 0, Name: "Tesla T4", Capability: "7.5", Total: 15 << 30, Used: 1 << 30, Free: 14 << 30, TempC: 41,
			PowerW: 9.6, PowerLimitW: 70, Utilisation: 0, Driver: "550.54.15", CUDA: "12.4", ClockMHz: 300, MaxClockMHz: 1590,
			PCIeGen: 1, PCIeWidth: 8, MaxPCIeGen: 3, MaxPCIeWidth: 16, Processes: []nvml.Process{{PID: 7, Name: "python3", Bytes: 1 << 29}},
			Device: "cuda:0", SMs: 40, Kernels: "sm_75 machine code", Ours: 1 << 29},
			{Index: 1, Name: "GeForce GTX 1080", Total: 8 << 30, TempC: -1, Utilisation: -1, Problem: "too old"}}, nil
	}
	want = "display_data: GPU                 compute      memory used  by us    free      total     clock            temperature  power       load  PCIe\n" +
		"0 Tesla T4          7.5, 40 SMs  1.0 GiB      0.5 GiB  14.0 GiB  15.0 GiB  300 of 1590 MHz  41 °C        10 of 70 W  0 %   1.0 ×8 (up to 3.0 ×16)\n" +
		"1 GeForce GTX 1080  ?            ?            0.0 GiB  ?         8.0 GiB   ?                ?            ?           ?     ?\n" +
		"cuda:0 runs sm_75 machine code\ncuda:0: process 7 python3, 0.5 GiB\nGPU 1 is not used: too old\ndriver 550.54.15, takes CUDA up to 12.4\n"
	if d := cmp.Diff(want, run(in, "%gpu")); d != "" {
		t.Error(d)
	}
	want = `stdout: {"gpus":[{"index":0,"name":"Tesla T4","compute_capability":"7.5","memory_total_bytes":16106127360,` +
		`"memory_used_bytes":1073741824,"memory_free_bytes":15032385536,"temperature_c":41,"power_w":9.6,"power_limit_w":70,` +
		`"utilisation_percent":0,"clock_mhz":300,"max_clock_mhz":1590,"pcie_generation":1,"pcie_width":8,"max_pcie_generation":3,"max_pcie_width":16,` +
		`"processes":[{"pid":7,"name":"python3","memory_bytes":536870912}],"driver":"550.54.15","cuda_version":"12.4",` +
		`"device":"cuda:0","sms":40,"kernels":"sm_75 machine code","used_by_us":536870912},` +
		`{"index":1,"name":"GeForce GTX 1080","memory_total_bytes":8589934592,"memory_used_bytes":0,"memory_free_bytes":0,` +
		`"temperature_c":-1,"utilisation_percent":-1,"problem":"too old"}]}` + "\n"
	if d := cmp.Diff(want, run(in, "%gpu --json")); d != "" {
		t.Error(d)
	}
}

func TestLsmagicNamesAll(t *testing.T) {
	got := run(newTestInterpreter(t), "%lsmagic")
	for _, m := range []string{"%gpu ", "%load ", "%infer %%infer ", "%tensor %%tensor ", "%models ", "%unload ", "%time %%time ",
		"%lsmagic ", "%help ", "%env ", "%cd ", "%clear ", "%reset ", "!command ", "name? "} {
		if !strings.Contains(got, m) {
			t.Errorf("%q is missing in\n%s", m, got)
		}
	}
}

func TestHelpOfEachMagic(t *testing.T) {
	in := newTestInterpreter(t)
	for _, m := range Magics() {
		if got := run(in, m.Name+"?"); !strings.HasPrefix(got, "page: "+m.Usage()+"\n\n"+m.Doc+"\n") {
			t.Errorf("%s? shows %q", m.Name, got)
		}
	}
}

func TestWords(t *testing.T) {
	// What a POSIX shell makes of them: printf '<%s>' WORDS.
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  a\tb ", []string{"a", "b"}},
		{`a\ b c`, []string{"a b", "c"}},
		{`'a b' "c d"`, []string{"a b", "c d"}},
		{`a'b'"c"d`, []string{"abcd"}},
		{`'' ""`, []string{"", ""}},
		{`"\n \" \\ \$ \a"`, []string{`\n " \ $ \a`}},
		{`'\n'`, []string{`\n`}},
		{`\n`, []string{"n"}},
		{`# a ; b | c & d > e $f {g} *`, []string{"#", "a", ";", "b", "|", "c", "&", "d", ">", "e", "$f", "{g}", "*"}},
		{"a \\\n b", []string{"a", "b"}},
		{"a\\\nb", []string{"ab"}},
		{"\"a\\\nb\"", []string{"ab"}},
		{`日本 'é è'`, []string{"日本", "é è"}},
	} {
		got, err := splitWords(c.line)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%q: %v\n%s", c.line, err, d)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a "b'`, `a\`, `"a\"`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%q gave %q, want an error", line, got)
		}
	}
}

func FuzzCell(f *testing.F) {
	for _, s := range []string{"%tensor 1", "%%infer --x\na", "!ls \\\n", "a?", "??b", "%", "%%", "\\", "x := 1\n%load", "# a\\\n%b"} {
		f.Add(s)
	}
	in := New(Options{})
	f.Fuzz(func(t *testing.T, code string) {
		lines := strings.Count(code, "\n") + 1
		for _, s := range parseCell(code) {
			if s.line < 0 || s.line >= lines || s.text == "" || !strings.Contains(code, s.text) {
				t.Fatalf("%q: step %+v", code, s)
			}
			if _, err := splitWords(s.args); err != nil && err.Error() == "" {
				t.Fatal("empty error")
			}
			if _, err := takeFlags(registry["infer"].flagSet(), s.args); err != nil && err.Error() == "" {
				t.Fatal("empty error")
			}
		}
		in.IsComplete(code)
		runes := len([]rune(code))
		for _, cursor := range []int{0, runes / 2, runes} {
			c := in.Complete(context.Background(), code, cursor)
			if c.Start < 0 || c.Start > c.End || c.End != cursor || len(c.Types) != len(c.Matches) {
				t.Fatalf("%q at %d: %+v", code, cursor, c)
			}
			in.Inspect(context.Background(), code, cursor, 0)
		}
	})
}
