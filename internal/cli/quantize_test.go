package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestQuantize: the demo in fewer bits still says how its story begins.
func TestQuantize(t *testing.T) {
	out := filepath.Join(t.TempDir(), "small.gguf")
	if text := output(t, "", "quantize", "demo", out, "--type", "Q5_0"); !strings.Contains(text, out) {
		t.Errorf("it says %q", text)
	}
	info := outputJSON[struct {
		Metadata map[string]any
		Tensors  []struct{ Name, Type string }
	}](t, "gguf", "show", out, "--json")
	if v := info.Metadata["general.file_type"]; v != 8.0 {
		t.Errorf("file type %v, want 8", v)
	}
	want := map[string]string{"token_embd.weight": "q6_k", "blk.0.ffn_up.weight": "q5_0", "blk.0.ffn_norm.weight": "f32"}
	for _, x := range info.Tensors {
		if w := want[x.Name]; w != "" && x.Type != w {
			t.Errorf("%s is %s, want %s", x.Name, x.Type, w)
		}
	}
	if text := output(t, "", "infer", out, "--temperature", "0", "--max-tokens", "6", "What is AI?"); !strings.Contains(text, "Once upon a time") {
		t.Errorf("it goes on with %q", text)
	}
	dir := t.TempDir()
	text := output(t, "", "export", "demo", filepath.Join(dir, "x.gguf"), "--split-max-size", "2M")
	shards, _ := filepath.Glob(filepath.Join(dir, "x-0000?-of-00003.gguf"))
	if len(shards) != 3 || !strings.Contains(text, shards[0]+" and 2 more: 4.3 MB") {
		t.Errorf("there are %v, it says %q", shards, text)
	}
	if module := output(t, "", "export", "--python"); !strings.Contains(module, "def save(model, directory") {
		t.Errorf("--python prints %.100q", module)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"quantize", "demo", out, "--type", "q5_0"}, "is there already; --force writes over it"},
		{[]string{"quantize", "demo", out}, "--type is missing; there are q2_k_s"},
		{[]string{"quantize", "demo", out, "--type", "q7"}, `no type "q7"; there are`},
		{[]string{"quantize", "demo", out, "--type", "q5_0", "--force", "--split-max-size", "2X"}, "--split-max-size 2X: want bytes"},
		{[]string{"export", "demo", out, "--imatrix", out}, "--imatrix goes with --type"},
		{[]string{"quantize", "demo"}, "usage: llcuda quantize IN OUT.gguf"},
		{[]string{"quantize", "demo", out + ".txt", "--type", "q5_0"}, "ends in .gguf"},
	} {
		if _, _, err := command(t, "", c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
}
