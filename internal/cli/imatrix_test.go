package cli

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/gguf"
)

// TestImatrix: the sums of the first layer are those of a float64 norm of the
// embeddings, and quantize takes the file.
func TestImatrix(t *testing.T) {
	const window = 32
	text := strings.Repeat("Once upon a time, there was a little fox. It was red, and it liked to run in the snow. ", 10)
	file, out := write(t, "text", text), filepath.Join(t.TempDir(), "m.gguf")
	said := output(t, "", "imatrix", "demo", "--text", file, "-o", out, "--ctx", "32", "--chunks", "2", "--gpu-layers", "0")
	if want := out + ": 28 matrices, 2 windows of 32 tokens, perplexity "; !strings.HasPrefix(said, want) {
		t.Errorf("it says %q, want %q", said, want)
	}
	m, err := gguf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got := numbersOf(t, m, "blk.0.attn_q.weight.in_sum2")

	model, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	if err := json.Unmarshal([]byte(output(t, "", "tokenize", "demo", "--json", text)), &ids); err != nil {
		t.Fatal(err)
	}
	eps, err := model.Float("llama.attention.layer_norm_rms_epsilon")
	if err != nil {
		t.Fatal(err)
	}
	table, gain := numbersOf(t, model, "token_embd.weight"), numbersOf(t, model, "blk.0.attn_norm.weight")
	cols := len(gain)
	want := make([]float64, cols)
	count := 0.0
	for at := 0; at < 2*window; at++ {
		id := ids[at]
		switch {
		case at%window == 0 && at > 0:
			id = ids[0] // BOS begins a window
		case at%window == window-1:
			continue // what follows it is not asked
		}
		x := table[id*cols : (id+1)*cols]
		var sum float64
		for _, v := range x {
			sum += v * v
		}
		for i, v := range x {
			y := v / math.Sqrt(sum/float64(cols)+eps) * gain[i]
			want[i] += y * y
		}
		count++
	}
	if n := numbersOf(t, m, "blk.0.attn_q.weight.counts"); n[0] != count {
		t.Errorf("%g rows, want %g", n[0], count)
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-4*want[i] {
			t.Fatalf("column %d has %g, want %g", i, got[i], want[i])
		}
	}
	small := filepath.Join(t.TempDir(), "small.gguf")
	output(t, "", "quantize", "demo", small, "--type", "q4_0", "--imatrix", out)
	f, err := gguf.Open(small)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.Uint("quantize.imatrix.entries_count"); n != 28 || err != nil {
		t.Errorf("%d entries (%v), want 28", n, err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"imatrix", "demo", "--text", file, "-o", out}, "is there already"},
		{[]string{"imatrix", "demo", "-o", out}, "--text is missing"},
		{[]string{"imatrix", "demo", "--text", file, "-o", out, "--force", "--chunks", "-1"}, "--chunks -1"},
		{[]string{"quantize", "demo", small, "--force", "--type", "q4_0", "--imatrix", file}, "importance matrix " + file},
	} {
		if _, _, err := command(t, "", c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
}

// numbersOf decodes a tensor of a file.
func numbersOf(t *testing.T, f *gguf.File, name string) []float64 {
	t.Helper()
	x := f.Tensor(name)
	if x == nil {
		t.Fatalf("no tensor %s", name)
	}
	v := make([]float32, x.Len())
	x.DType.Decode(v, x.Data)
	all := make([]float64, len(v))
	for i := range v {
		all[i] = float64(v[i])
	}
	return all
}
