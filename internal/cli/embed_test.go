package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

const tinyEncoder = "../../engine/testdata/encoders/bert-cls.gguf"

// TestEmbed: vectors are the first states that transformers gives, of length 1.
func TestEmbed(t *testing.T) {
	f, err := gguf.Open(tinyEncoder)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, _ := f.Value("golden.texts")
	hidden, _ := f.Value("golden.hidden")
	states := hidden.([]float32)
	ends, err := f.Ints("golden.ends")
	if err != nil {
		t.Fatal(err)
	}
	texts := v.([]string)[:2]
	dim := len(states) / int(ends[len(ends)-1])
	want := [2][]float32{states[:dim], states[int(ends[0])*dim:][:dim]}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}

	r := outputJSON[embedResult](t, "embed", tinyEncoder, "--json", "--cache-type", "f32", texts[0], texts[1])
	if r.Model != "bert-cls" || r.Pooling != "cls" || r.Dimensions != dim || r.Tokens != int(ends[1]) || len(r.Vectors) != 2 {
		t.Fatalf("%+v", r)
	}
	for i, got := range r.Vectors {
		for j, x := range got {
			if w := float64(want[i][j]) / math.Sqrt(dot(want[i], want[i])); math.Abs(float64(x)-w) > 1e-4 {
				t.Errorf("text %d, number %d: %g, want %g", i, j, x, w)
			}
		}
	}

	cos := dot(want[0], want[1]) / math.Sqrt(dot(want[0], want[0])*dot(want[1], want[1]))
	table := fmt.Sprintf(" 1.000 %6.3f\n%6.3f  1.000\n", cos, cos)
	lines := write(t, "lines", texts[0]+"\n\n  "+texts[1]+"\n")
	for how, got := range map[string]string{
		"arguments": output(t, "", "embed", tinyEncoder, "--cache-type", "f32", texts[0], texts[1]),
		"file":      output(t, "", "embed", tinyEncoder, "--cache-type", "f32", "--file", lines),
		"stdin":     output(t, texts[0]+"\n"+texts[1], "embed", tinyEncoder, "--cache-type", "f32"),
	} {
		if got != table {
			t.Errorf("%s: %q, want %q", how, got, table)
		}
	}
	if got := output(t, "", "embed", tinyEncoder, texts[0]); strings.Count(got, "\n") != dim {
		t.Errorf("one text: %q, want %d lines", got, dim)
	}

	npy := filepath.Join(t.TempDir(), "e.npy")
	output(t, "", "embed", tinyEncoder, "--npy", npy, texts[0], texts[1])
	b, err := os.ReadFile(npy)
	if err != nil || !bytes.HasPrefix(b, []byte("\x93NUMPY")) || !bytes.Contains(b, []byte(fmt.Sprintf("(2, %d)", dim))) || len(b)%64 != 2*4*dim%64 {
		t.Errorf("%d bytes of %.80q, %v", len(b), b, err)
	}
}

func TestEmbedMistakes(t *testing.T) {
	long := strings.Repeat("cat ", 60)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--pooling max", []string{"embed", tinyEncoder, "--pooling", "max", "cat"}},
		{"TEXT and --file", []string{"embed", tinyEncoder, "--file", "x", "cat"}},
		{"no texts", []string{"embed", tinyEncoder}},
		{"62 tokens, at most 48 allowed", []string{"embed", tinyEncoder, long}},
		{"(--truncate)", []string{"embed", tinyEncoder, long}},
		{"an encoder makes vectors", []string{"infer", tinyEncoder, "cat"}},
	} {
		_, _, err := command(t, "", c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v, want %q", c.args, err, c.want)
		}
	}
	_, said, err := command(t, "", "embed", tinyEncoder, "--truncate", long)
	if err != nil || !strings.Contains(said, "text 1 had 62 tokens and was cut to 48") {
		t.Errorf("--truncate: %q, %v", said, err)
	}
}

// TestEmbedOnCards: a card gives the vectors that the CPU gives, also where it
// has only some of the layers.
func TestEmbedOnCards(t *testing.T) {
	run := onCards(t, program(t), "134217728")
	texts := []string{"The cat sat on the mat.", "king", strings.Repeat("war and peace ", 14)} // the last one is many rows for the kernels
	vectors := func(args ...string) []float32 {
		t.Helper()
		out, err := run(append(append([]string{"embed"}, args...), append(texts, "--json")...)...)
		if err != nil {
			t.Fatalf("embed %v: %v", args, err)
		}
		var r embedResult
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return slices.Concat(r.Vectors...)
	}
	for _, c := range []struct {
		model, cache string
		bound        float64 // of each number; the CPU rounds activations beside q8_0
		layers       []string
	}{
		{tinyEncoder, "f32", 2e-5, []string{"-1", "1"}},
		{"../../engine/testdata/encoders/nomic-bert.gguf", "f16", 2e-4, []string{"-1"}},
		{"../../engine/testdata/encoders/bert-q8_0.gguf", "f16", 0.01, []string{"-1"}},
		{"../../engine/testdata/llama.gguf", "f32", 2e-5, []string{"-1", "1"}},
	} {
		want := vectors(c.model, "--device", "cpu", "--cache-type", c.cache)
		for _, layers := range c.layers {
			got := vectors(c.model, "--device", "cuda:0", "--gpu-layers", layers, "--cache-type", c.cache)
			for i, x := range got {
				if len(got) != len(want) || math.Abs(float64(x-want[i])) > c.bound {
					t.Fatalf("%s, --gpu-layers %s: number %d is %g of %d, on the CPU %g of %d", c.model, layers, i, x, len(got), want[i], len(want))
				}
			}
		}
	}
}
