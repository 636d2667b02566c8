package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command runs one command line in this process.
func command(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// output is command that has to succeed.
func output(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, _, err := command(t, stdin, args...)
	if err != nil {
		t.Fatalf("llcuda %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func outputJSON[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	out := output(t, "", args...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("llcuda %s: %v in %q", strings.Join(args, " "), err, out)
	}
	return v
}

// write makes a file of this test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var texts = []string{"Once upon a time, there was a fox.", "", " two  spaces \n\ttab", "naïve 🎉 über 漢字", "<|endoftext|>", `"quoted" \ back`}

func TestTokenize(t *testing.T) {
	var lines strings.Builder
	for _, text := range texts {
		if err := encodeJSON(&lines, text); err != nil {
			t.Fatal(err)
		}
		ids := output(t, "", "tokenize", "demo", "--bos=false", "--json", text)
		if back := outputJSON[string](t, "tokenize", "demo", "--decode", "--json", ids); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
		if piped := output(t, text, "tokenize", "demo", "--bos=false", "--json"); piped != ids {
			t.Errorf("%q piped is %s, want %s", text, piped, ids)
		}
		if file := output(t, "", "tokenize", "demo", "--bos=false", "--json", "--file", write(t, "text", text)); file != ids {
			t.Errorf("%q in a file is %s, want %s", text, file, ids)
		}
	}
	ids := output(t, "", "tokenize", "demo", "--jsonl", write(t, "texts.jsonl", lines.String()))
	if n := strings.Count(ids, "\n"); n != len(texts) {
		t.Errorf("%d lines of ids, want %d", n, len(texts))
	}
	for i, line := range slices.Collect(strings.Lines(ids)) {
		if one := output(t, "", "tokenize", "demo", "--json", texts[i]); line != one {
			t.Errorf("%q is %s as a line, %s alone", texts[i], line, one)
		}
	}
	unmarked := output(t, "", "tokenize", "demo", "--bos=false", "--jsonl", write(t, "texts.jsonl", lines.String()))
	if back := output(t, "", "tokenize", "demo", "--decode", "--jsonl", write(t, "ids.jsonl", unmarked)); back != lines.String() {
		t.Errorf("lines came back as\n%swant\n%s", back, lines.String())
	}
	special := outputJSON[[]int32](t, "tokenize", "demo", "--bos=false", "--special", "--json", "<|endoftext|>")
	if plain := outputJSON[[]int32](t, "tokenize", "demo", "--bos=false", "--json", "<|endoftext|>"); len(special) != 1 || len(plain) < 2 {
		t.Errorf("a control token is %v with --special and %v without, want one and several", special, plain)
	}
}

// readNPY is a reader of its own of NumPy's format 1.0, for float32 matrices:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
func readNPY(t *testing.T, path string) (matrix [][]float32) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 10 || string(b[:8]) != "\x93NUMPY\x01\x00" {
		t.Fatalf("%q is no NumPy file of version 1.0", b[:min(len(b), 10)])
	}
	start := 10 + int(binary.LittleEndian.Uint16(b[8:]))
	header := string(b[10:start])
	var rows, cols int
	shape := regexp.MustCompile(`'shape': (\(\d+, \d+\)), }`).FindStringSubmatch(header)
	if start%64 != 0 || !strings.HasSuffix(header, "\n") || len(shape) != 2 ||
		!strings.Contains(header, "'descr': '<f4'") || !strings.Contains(header, "'fortran_order': False") {
		t.Fatalf("header %q, data at %d", header, start)
	}
	if _, err := fmt.Sscanf(shape[1], "(%d, %d)", &rows, &cols); err != nil || len(b) != start+4*rows*cols {
		t.Fatalf("%d bytes of data for shape %s (%v)", len(b)-start, shape[1], err)
	}
	for r := range rows {
		row := make([]float32, cols)
		for c := range row {
			row[c] = math.Float32frombits(binary.LittleEndian.Uint32(b[start+4*(r*cols+c):]))
		}
		matrix = append(matrix, row)
	}
	return matrix
}

// logProbs are the logarithms of a softmax, in float64.
func logProbs(logits []float32) []float64 {
	sum, p := 0.0, make([]float64, len(logits))
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	for i, l := range logits {
		p[i] = float64(l) - math.Log(sum)
	}
	return p
}

// evalLogitsOf are the logits of windows.
func evalLogitsOf(t *testing.T, windows [][]int32) [][]float32 {
	t.Helper()
	b, err := json.Marshal(windows)
	if err != nil {
		t.Fatal(err)
	}
	npy := filepath.Join(t.TempDir(), "logits.npy")
	output(t, "", "eval", "demo", "--ids", write(t, "ids.json", string(b)), "--logits", npy)
	return readNPY(t, npy)
}

// TestEval: the two forms of output say the same, and the probabilities of all
// tokens sum to 1.
func TestEval(t *testing.T) {
	windows := [][]int32{{0, 5, 300, 17}, {42}, {7, 7, 7}}
	logits := evalLogitsOf(t, windows)
	vocab := len(logits[0])
	top := outputJSON[[][][]struct {
		ID      int32
		LogProb float64
	}](t, "eval", "demo", "--ids", write(t, "ids.json", "[[0,5,300,17],[42],[7,7,7]]"), "--top", fmt.Sprint(vocab))
	if len(logits) != 8 || len(top) != len(windows) {
		t.Fatalf("%d rows and %d windows, want 8 and %d", len(logits), len(top), len(windows))
	}
	for w, window := range top {
		if len(window) != len(windows[w]) {
			t.Fatalf("%d positions of window %d, want %d", len(window), w, len(windows[w]))
		}
		for _, position := range window {
			want, sum := logProbs(logits[0]), 0.0
			logits = logits[1:]
			for i, p := range position {
				sum += math.Exp(p.LogProb)
				if math.Abs(p.LogProb-want[p.ID]) > 1e-4 || i > 0 && p.LogProb > position[i-1].LogProb {
					t.Fatalf("window %d: token %d at place %d has %g, want %g", w, p.ID, i, p.LogProb, want[p.ID])
				}
			}
			if len(position) != vocab || math.Abs(sum-1) > 1e-4 {
				t.Errorf("window %d: %d probabilities sum to %g, want %d and 1", w, len(position), sum, vocab)
			}
		}
	}
}

// TestPerplexity: exp of the mean negative log likelihood that eval's logits
// give the second half of each window, whose first token is BOS.
func TestPerplexity(t *testing.T) {
	text := strings.Repeat("Once upon a time, there was a little fox who lived in a forest. ", 12)
	file := write(t, "text", text)
	const window = 32
	got := outputJSON[struct {
		Perplexity      float64
		Tokens, Windows int
	}](t, "perplexity", "demo", file, "-c", fmt.Sprint(window), "--chunks", "3", "--json")
	ids := outputJSON[[]int32](t, "tokenize", "demo", "--json", "--file", file)
	var windows [][]int32
	for i := range 3 {
		windows = append(windows, slices.Concat(ids[:1], ids[i*window+1:(i+1)*window]))
	}
	logits, nll, n := evalLogitsOf(t, windows), 0.0, 0
	for i, w := range windows {
		for j := window / 2; j < window-1; j++ {
			nll -= logProbs(logits[i*window+j])[w[j+1]]
			n++
		}
	}
	if want := math.Exp(nll / float64(n)); got.Tokens != n || got.Windows != 3 || math.Abs(got.Perplexity/want-1) > 2e-3 {
		t.Errorf("%+v, want perplexity %g of %d tokens in 3 windows", got, want, n)
	}
}

func TestBench(t *testing.T) {
	type row struct {
		Test            string
		Threads         int
		TokensPerSecond float64 `json:"tokens_per_second"`
		GBPerSecond     float64 `json:"gb_per_second"`
		SizeBytes       int64   `json:"size_bytes"`
		Samples         []float64
	}
	file := outputJSON[struct{ Tensors []struct{ Bytes int64 } }](t, "gguf", "show", "demo", "--json")
	size := int64(0)
	for _, tensor := range file.Tensors { // the demo's embedding is its output too: a token reads all
		size += tensor.Bytes
	}
	rows := outputJSON[[]row](t, "bench", "demo", "-p", "16", "-n", "4", "-r", "2", "-t", "1", "--json")
	if len(rows) != 2 || rows[0].Test != "pp16" || rows[1].Test != "tg4" {
		t.Fatalf("%+v, want pp16 and tg4", rows)
	}
	for _, r := range rows {
		if len(r.Samples) != 2 || r.Threads != 1 || r.SizeBytes != size || !(r.TokensPerSecond > 0) ||
			math.Abs((r.Samples[0]+r.Samples[1])/2/r.TokensPerSecond-1) > 1e-9 {
			t.Errorf("%+v of a model of %d bytes", r, size)
		}
	}
	if want := rows[1].TokensPerSecond * float64(size) / 1e9; math.Abs(rows[1].GBPerSecond/want-1) > 1e-9 || rows[0].GBPerSecond != 0 {
		t.Errorf("%g and %g GB/s, want none and %g", rows[0].GBPerSecond, rows[1].GBPerSecond, want)
	}
	if table := output(t, "", "bench", "demo", "-n", "4", "-r", "1", "-d", "0"); strings.Count(table, "\n") != 4 || !strings.Contains(table, " pp512 ") {
		t.Errorf("table\n%s", table) // also: the default prompt is all of the demo's context
	}
}

// TestBenchParallel: a row for each number of texts, once.
func TestBenchParallel(t *testing.T) {
	rows := outputJSON[[]struct {
		Test            string
		Texts           int
		TokensPerSecond float64 `json:"tokens_per_second"`
		Samples         []float64
	}](t, "bench", "demo", "--parallel", "1,1,3,1", "-p", "0", "-n", "4", "-r", "2", "--json")
	if len(rows) != 3 || rows[1].Test != "tg4 × 1" || rows[2].Test != "tg4 × 3" || rows[2].Texts != 3 {
		t.Fatalf("%+v, want tg4 alone, × 1 and × 3", rows)
	}
	for _, r := range rows {
		if !(r.TokensPerSecond > 0) || len(r.Samples) != 2 {
			t.Errorf("%+v", r)
		}
	}
}

// TestBenchOps: a row for every product of the demo and for what stands
// between them, each with a time.
func TestBenchOps(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	got := outputJSON[struct {
		Device string
		Ops    []opResult
	}](t, "bench", "demo", "--device", "cpu", "--ops", "--json")
	seen := map[string]int{}
	for _, r := range got.Ops {
		seen[r.Op]++
		if !(r.Micros > 0) || r.Shape == "" || r.Op == "matmul" && (r.GBPerSecond > 0) == (r.TFLOPs > 0) {
			t.Errorf("%+v", r)
		}
	}
	for op, n := range map[string]int{"matmul": 9, "attention": 12, "rms_norm": 2, "rope": 2, "rows": 2, "arg_max": 1, "top_k": 1} {
		if seen[op] != n {
			t.Errorf("%d rows of %s, want %d", seen[op], op, n)
		}
	}
}

// TestBenchLoad: the time to the first token, and no model beside a shape.
func TestBenchLoad(t *testing.T) {
	rows := outputJSON[[]struct {
		Test    string
		Seconds float64
	}](t, "bench", "demo", "--load", "-p", "0", "-n", "0", "--json")
	if len(rows) != 1 || rows[0].Test != "load" || !(rows[0].Seconds > 0) {
		t.Errorf("%+v", rows)
	}
}

// TestBenchQuantize: what is measured has the types and the size of the file
// that quantize writes.
func TestBenchQuantize(t *testing.T) {
	small := filepath.Join(t.TempDir(), "small.gguf")
	output(t, "", "quantize", "demo", small, "--type", "q5_0")
	file := outputJSON[struct{ Tensors []struct{ Bytes int64 } }](t, "gguf", "show", small, "--json")
	size := int64(0)
	for _, tensor := range file.Tensors {
		size += tensor.Bytes
	}
	rows := outputJSON[[]benchResult](t, "bench", "demo", "--quantize", "q5_0", "--load", "--parallel", "2", "-p", "0", "-n", "2", "-r", "1", "--json")
	if len(rows) != 3 {
		t.Fatalf("%+v, want load, tg2 and tg2 × 2", rows)
	}
	for _, r := range rows {
		if !strings.HasSuffix(r.Model, " Q5_0") || r.Size != size {
			t.Errorf("%s: %s of %d bytes, want Q5_0 of %d", r.Test, r.Model, r.Size, size)
		}
	}
	ops := outputJSON[struct{ Ops []opResult }](t, "bench", "demo", "--quantize", "q5_0", "--device", "cpu", "--ops", "--op", "matmul,rows", "-p", "1", "--json")
	seen := map[string]bool{}
	for _, r := range ops.Ops {
		seen[r.Op+" "+r.Type] = true
	}
	if !seen["matmul q5_0"] || !seen["rows q6_k"] || len(seen) != 3 { // the embedding is the output, too
		t.Errorf("operations %v, want matmul q5_0, matmul q6_k and rows q6_k", seen)
	}
}

// TestBenchWrite: a file that is there stays as it is, and an interrupt leaves
// none behind.
func TestBenchWrite(t *testing.T) {
	args := []string{"bench", "--shape", "gemma-3-1b", "--write"}
	there := write(t, "there.gguf", "mine")
	if _, _, err := command(t, "", append(args, there)...); err == nil || !strings.Contains(err.Error(), "is there already; --force") {
		t.Errorf("over a file: %v", err)
	}
	if b, err := os.ReadFile(there); string(b) != "mine" {
		t.Errorf("the file that was there has %d bytes now, %v", len(b), err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	root := newRoot()
	root.SetErr(writerFunc(func(b []byte) (int, error) { interrupt(); return len(b), nil })) // its progress, after the first bytes
	root.SetArgs(append(args, there, "--force"))
	if err := root.ExecuteContext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(there))
	if b, _ := os.ReadFile(there); len(left) != 1 || string(b) != "mine" {
		t.Errorf("an interrupt leaves %v, %v and a file of %d bytes, want the one that was there", left, err, len(b))
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

type inferred struct {
	Text       string
	Tokens     []int32
	Seed       uint64
	StopReason string `json:"stop_reason"`
}

// TestInfer: each greedy token is the likeliest by eval (but for a rounding),
// a seed repeats a text, and --stop cuts it.
func TestInfer(t *testing.T) {
	const prompt = "Once upon a time"
	got := outputJSON[inferred](t, "infer", "demo", prompt, "--temperature", "0", "--max-tokens", "24", "--json")
	ids := outputJSON[[]int32](t, "tokenize", "demo", "--json", prompt)
	logits := evalLogitsOf(t, [][]int32{slices.Concat(ids, got.Tokens)})
	for i, id := range got.Tokens {
		if l := logits[len(ids)+i-1]; l[id] < slices.Max(l)-0.05 {
			t.Errorf("token %d is %d with %g, the likeliest has %g", i, id, l[id], slices.Max(l))
		}
	}
	if len(got.Tokens) != 24 || got.StopReason != "length" {
		t.Errorf("%d tokens, stop %s; want 24, length", len(got.Tokens), got.StopReason)
	}
	before, _, ok := strings.Cut(got.Text, "there")
	cut := outputJSON[inferred](t, "infer", "demo", prompt, "--temperature", "0", "--stop", "there", "--json")
	if !ok || cut.Text != before || cut.StopReason != "stop" || slices.Contains(cut.Tokens, -1) {
		t.Errorf("%+v, want %q before %q", cut, before, "there")
	}
}

func TestInferSeed(t *testing.T) {
	const prompt = "Once upon a time"
	text, summary, err := command(t, "", "infer", "demo", prompt)
	seed := regexp.MustCompile(`; seed (\d+)\n$`).FindStringSubmatch(summary)
	if err != nil || seed == nil {
		t.Fatalf("%v, no seed in %q", err, summary)
	}
	if again := output(t, "", "infer", "demo", prompt, "--seed", seed[1]); again != text {
		t.Errorf("seed %s gave\n%sand then\n%s", seed[1], text, again)
	}
	if other := output(t, "", "infer", "demo", prompt); other == text {
		t.Errorf("twice without a seed\n%s", other)
	}
	full, summary, err := command(t, "", "infer", "demo", prompt, "-c", "16", "--max-tokens", "100", "--seed", "1")
	if err != nil || !strings.Contains(summary, "context full") || len(full) < 10 {
		t.Errorf("%q, %q, %v; want a text and that the context is full", full, summary, err)
	}
}

// TestUsage: what no model has to be loaded for is refused as wrong usage.
func TestUsage(t *testing.T) {
	ids := write(t, "ids.json", "[[1]]")
	for want, args := range map[string][]string{
		"infer: 0 arguments":                     {"infer"},
		"--max-tokens -3":                        {"infer", "demo", "x", "--max-tokens", "-3"},
		"temperature -1: want 0 or more":         {"infer", "demo", "x", "--temperature", "-1"},
		"top-p 3: want 0 to 1":                   {"infer", "demo", "x", "--top-p", "3"},
		"two ways to say the same":               {"infer", "demo", "x", "--schema", "{}", "--grammar", ids},
		"or a file that holds one: open no.json": {"infer", "demo", "x", "--schema", "no.json"},
		"--schema: grammar: schema: #: not: ":    {"infer", "demo", "x", "--schema", `{"not":{}}`},
		"want a file with GBNF: open no.gbnf":    {"infer", "demo", "x", "--grammar", "no.gbnf"},
		"line 1, column 2: want ::= after":       {"infer", "demo", "x", "--grammar", write(t, "bad.gbnf", "x")},
		"--stop: want a text":                    {"infer", "demo", "x", "--stop", ""},
		"--ctx -5":                               {"infer", "demo", "x", "-c", "-5"},
		"--threads -5":                           {"infer", "demo", "x", "-t", "-5"},
		"--batch -1":                             {"infer", "demo", "x", "-b", "-1"},
		`--cache-type "q9": want f16`:            {"infer", "demo", "x", "--cache-type", "q9"},
		`--cache-type "q4_0": want f16`:          {"infer", "demo", "x", "--cache-type", "q4_0"},
		"want one of PROMPT and --file":          {"infer", "demo", "x", "--file", "y"},
		"--top -1":                               {"eval", "demo", "--ids", ids, "--top", "-1"},
		"one of --logits and --top":              {"eval", "demo", "--ids", ids, "--top", "1", "--logits", "x"},
		"tokenize: 3 arguments":                  {"tokenize", "demo", "a", "b"},
		"want one of TEXT, --file and":           {"tokenize", "demo", "--file", "a", "--jsonl", "b"},
		"--chunks -1":                            {"perplexity", "demo", ids, "--chunks", "-1"},
		"-p 0 -n 0":                              {"bench", "demo", "-p", "0", "-n", "0"},
		"want a model or --shape":                {"bench"},
		"--op wants --ops":                       {"bench", "demo", "--op", "matmul"},
		"--type wants --ops":                     {"bench", "demo", "--type", "q8_0"},
		"--type: ":                               {"bench", "demo", "--ops", "--type", "q9"},
		"--quantize wants a model":               {"bench", "--shape", "llama-3.2-1b", "--quantize", "q8_0"},
		`no type "foo"; there are q2_k_s`:        {"bench", "demo", "--quantize", "foo"},
		"--ops measures operations alone: leave": {"bench", "demo", "--ops", "--parallel", "2"},
		"leave --load and --parallel out":        {"bench", "demo", "--ops", "--load"},
		"--adapter-rank 257: want at most 256":   {"bench", "demo", "--adapter-rank", "257"},
		"--parallel 65: want 1 to 64 texts":      {"bench", "demo", "--parallel", "1,65"},
		"--parallel wants tokens to generate":    {"bench", "demo", "--parallel", "2", "-n", "0"},
		"--write wants --shape":                  {"bench", "demo", "--write", "x"},
		"--force wants --write":                  {"bench", "--shape", "gemma-3-1b", "--force"},
		`no shape "llama-9"; there are gemma`:    {"bench", "--shape", "llama-9"},
		`--device "gpu": want auto, cpu`:         {"infer", "demo", "x", "--device", "gpu"},
		`"cuda:0,cuda" names cuda:0 twice`:       {"infer", "demo", "x", "--device", "cuda:0,cuda"},
		`--op "matmal": want one of matmul`:      {"selftest", "--op", "matmal"},
		"[prefix user] were all set":             {"install", "--prefix", "p", "--user"},
		`--env "x": want NAME=VALUE`:             {"install", "--env", "x"},
		`unknown command "shwo"`:                 {"gguf", "shwo"},
		`did you mean infer`:                     {"infr"},
		"models: unknown flag --fly":             {"models", "--fly"},
		"--n-gen many: want a whole number":      {"bench", "demo", "-n", "many"},
	} {
		_, _, err := command(t, "", args...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("llcuda %q: %v, want wrong usage: %s", args, err, want)
		}
	}
}

// TestFailures: what is only seen at work fails, and says what to do in the
// words of the command line.
func TestFailures(t *testing.T) {
	for want, args := range map[string][]string{
		"no model nosuch: neither a file nor a short name; llcuda models lists": {"infer", "nosuch", "x"},
		"trained for 512 tokens":               {"infer", "demo", "x", "-c", "5000"},
		"no GPU":                               {"infer", "demo", "x", "--gpu-layers", "3"},
		"want a list of lists":                 {"eval", "demo", "--top", "1", "--ids", write(t, "ids.json", "[1,2]")},
		"window 0 is empty":                    {"eval", "demo", "--top", "1", "--ids", write(t, "ids.json", "[[]]")},
		"token 99999: the vocabulary has 0 to": {"eval", "demo", "--top", "1", "--ids", write(t, "ids.json", "[[99999]]")},
		"bad.jsonl:2: want a JSON string":      {"tokenize", "demo", "--jsonl", write(t, "bad.jsonl", "\"a\"\nb\n")},
		`id "x": want a number`:                {"tokenize", "demo", "--decode", "1 x"},
		"less than one window of 512":          {"perplexity", "demo", write(t, "short", "short")},
		"windows of 2 tokens: want at least 4": {"perplexity", "demo", "-c", "2", write(t, "text", "a b c d e f g")},
		"not a GGUF file":                      {"gguf", "check", write(t, "x.gguf", "not a model, but long enough for one")},
		"context full: 0 tokens and 60":        {"infer", "demo", "--file", write(t, "long", strings.Repeat("cat dog ", 3000))},
	} {
		_, _, err := command(t, "", args...)
		var usage usageError
		if err == nil || errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("llcuda %q: %v, want %s", args, err, want)
		}
	}
}
