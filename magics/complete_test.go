package magics

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llcuda/llcuda/jupyter"
)

func TestComplete(t *testing.T) {
	in := newTestInterpreter(t)
	t.Chdir(t.TempDir())
	t.Setenv("LLCUDA_MODELS", "")
	t.Setenv("XDG_CACHE_HOME", "/none")
	for _, name := range []string{"weights.gguf", "wide file.txt", "é.gguf"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("web/deep", 0o700); err != nil {
		t.Fatal(err)
	}
	if got := run(in, "%load demo --as chatty\n%%tensor\n"); strings.Contains(got, "ModelError") {
		t.Fatal(got)
	}
	run(in, "%tensor Alpha = zeros(2, 3)\n%tensor Alphabet = 3")
	for _, c := range []struct {
		code string // | is the cursor
		text string // what is replaced
		want []string
		part bool // want is only a part of the matches
	}{
		{"%loa|", "%loa", []string{"%load"}, false},
		{"%infe|", "%infe", []string{"%infer"}, false},
		{"%%t|", "%%t", []string{"%%tensor", "%%time"}, false},
		{"loa|", "loa", []string{"%load"}, false},
		{"%tensor 1\n  %un|", "%un", []string{"%unload"}, false},
		{"%load w|", "w", []string{"web/", "weights", "weights.gguf"}, false},
		{"%load dem|o", "dem", []string{"demo"}, false},
		{"%load gemma-3-1|", "gemma-3-1", []string{"gemma-3-12b", "gemma-3-1b"}, false},
		{"%load web/|", "web/", []string{"web/deep/"}, false},
		{"%load é|", "é", []string{"é", "é.gguf"}, false},
		{"%load demo --c|", "--c", []string{"--cache-type", "--ctx"}, false},
		{"%load demo \\\n --gpu|", "--gpu", []string{"--gpu-layers"}, false},
		{"%export a.gguf --type q4_k|", "q4_k", []string{"q4_k_m", "q4_k_s"}, false},
		{"%load demo --quantize iq|", "iq", []string{"iq4_nl", "iq4_xs"}, false},
		{"%load demo --cache-type |", "", []string{"bf16", "f16", "f32", "q8_0"}, false},
		{"%infer --m|", "--m", []string{"--max-tokens", "--min-p", "--model"}, false},
		{"%infer --model |", "", []string{"chatty"}, false},
		{"%infer What is |", "", []string{}, false},
		{"%unload ch|", "ch", []string{"chatty"}, false},
		{"%cd w|", "w", []string{"web/"}, false},
		{"!cat w|", "w", []string{"web/", "weights.gguf", `wide\ file.txt`}, false},
		{`!cat wide\ f|`, `wide\ f`, []string{`wide\ file.txt`}, false},
		{"%help inf|", "inf", []string{"infer"}, false},
		{"?lsm|", "lsm", []string{"lsmagic"}, false},
		{"%tensor Alp|", "Alp", []string{"Alpha", "Alphabet"}, false},
		{"%tensor softm|", "softm", []string{"softmax"}, false},
		{"%tensor Alpha.sha|", "sha", []string{"shape"}, false},
		{"%tensor Alpha.re|", "re", []string{"relu", "reshape"}, false},
		{"%tensor zeros(2, dty|", "dty", []string{"dtype="}, false},
		{"%tensor B = q4|", "q4", []string{"q4_0", "q4_1", "q4_k"}, false},
		{"%%tensor\nB = 1\nAlph|", "Alph", []string{"Alpha", "Alphabet"}, false},
		{"%time %tensor Alpha.T.num|", "num", []string{"numel"}, false},
		{"%%time\n%loa|", "%loa", []string{"%load"}, false},
		{"%env PAT|", "PAT", []string{"PATH"}, true},
		{"%gguf sh|", "sh", []string{"show"}, false},
		{"%gguf show de|", "de", []string{"demo"}, false},
		{"%nope x|", "", []string{}, false},
		{"|", "", []string{"%load", "%tensor"}, true},
	} {
		t.Run(c.code, func(t *testing.T) {
			before, after, _ := strings.Cut(c.code, "|")
			cursor := len([]rune(before))
			got := in.Complete(context.Background(), before+after, cursor)
			if text := string([]rune(before)[got.Start:]); text != c.text || got.End != cursor {
				t.Errorf("replaces %q (%d to %d), want %q", text, got.Start, got.End, c.text)
			}
			if c.part {
				for _, w := range c.want {
					if !slices.Contains(got.Matches, w) {
						t.Errorf("%q is missing in %q", w, got.Matches)
					}
				}
				return
			}
			if d := cmp.Diff(c.want, got.Matches); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%tensor Alpha = zeros(2, 3)")
	for _, c := range []struct{ code, want string }{
		{"%load|", "%load [flags] MODEL\n"},
		{"%lo|ad demo", "%load [flags] MODEL\n"},
		{"%load demo --ct|x 3", "--ctx tokens\n"},
		{"%load dem|o", "%load [flags] MODEL\n"},
		{"%%infer --seed|\nhi", "--seed seed\n"},
		{"%tensor Al|pha + 1", "Alpha\n\ntensor: f32 (2, 3) on cpu, 24 bytes\n"},
		{"%tensor softmax(|", "softmax(A, dim=-1)\n"},
		{"%tensor Alpha.sha|pe", "A.shape\n\nsizes of the dimensions"},
		{"%%tensor\nB = 1\nsoftm|ax(B)", "softmax(A, dim=-1)\n"},
		{"x := 1|", ""},
		{"|", ""},
	} {
		before, after, _ := strings.Cut(c.code, "|")
		b := in.Inspect(context.Background(), before+after, len([]rune(before)), 0)
		got, _ := b["text/plain"].(string)
		if !strings.HasPrefix(got, c.want) || c.want == "" && b != nil {
			t.Errorf("%s: got %q, want %q", c.code, got, c.want)
		}
	}
}

func TestIsComplete(t *testing.T) {
	in := newTestInterpreter(t)
	for code, want := range map[string]string{
		"": jupyter.Complete, "%gpu": jupyter.Complete, "%tensor 1 + 2": jupyter.Complete, "!echo hi": jupyter.Complete,
		"%tensor 1 + \\": jupyter.Incomplete, "%tensor (1 +": jupyter.Invalid, "%%infer": jupyter.Incomplete,
		"%%infer\nhello": jupyter.Incomplete, "%%infer\nhello\n": jupyter.Complete, "x := 1": jupyter.Complete,
	} {
		if got := in.IsComplete(code).Status; got != want {
			t.Errorf("%q: got %s, want %s", code, got, want)
		}
	}
}

func TestEval(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%tensor A = tensor([1, 2])")
	b, err := in.Eval(context.Background(), "A * 2")
	if err != nil || b["text/plain"] != "tensor([2, 4])" || !strings.Contains(b["text/html"].(string), "<table>") {
		t.Errorf("got %v, %v", b, err)
	}
	if b, err := in.Eval(context.Background(), "B"); err == nil || b != nil {
		t.Errorf("got %v, %v, want an error", b, err)
	}
	if b, err := in.Eval(context.Background(), "A = 3"); err == nil || b != nil {
		t.Errorf("got %v, %v, want an error: an assignment is no expression", b, err)
	}
}
