package cli

import (
	"strings"
	"testing"
)

// TestVerify: a base with an adapter is what it is with the adapter merged, by
// each way that commands take one; exit code 1 says that two forms differ.
func TestVerify(t *testing.T) {
	const dir = "../lora/testdata/"
	base, adapter := dir+"llama.gguf", dir+"llama/plain"
	texts := map[string]string{}
	for how, args := range map[string][]string{
		"beside": {base, "--adapter", adapter}, "merged": {base, "--adapter", adapter, "--merge"}, "a folder": {adapter, "--base", base},
		"half": {base, "--adapter", adapter + "=0.5"}, "half, merged": {base, "--adapter", adapter + "=0.5", "--merge"}, "none": {base},
	} {
		texts[how] = output(t, "", append([]string{"infer", "--temperature", "0", "--max-tokens", "20", "--cache-type", "f32", args[0], "abcdefg hij"}, args[1:]...)...)
	}
	if a := texts["beside"]; a != texts["merged"] || a != texts["a folder"] || a == texts["half"] || a == texts["none"] || texts["half"] != texts["half, merged"] {
		t.Errorf("texts are %q", texts)
	}
	r := outputJSON[struct {
		Same    bool
		Verdict string
	}](t, "verify", base, base, "--json", "--tokens", "20")
	if !r.Same || !strings.Contains(r.Verdict, "are the same") {
		t.Errorf("a model and itself: %+v", r)
	}
	if out, _, err := command(t, "", "verify", base, base, "--adapter", adapter); err == nil || !strings.Contains(out, "are not the same model in two forms") {
		t.Errorf("with an adapter and without: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"verify", base}, {"verify", base, base, "--tokens", "1"}, {"infer", base, "x", "--adapter", "a=b"}, {"infer", base, "x", "--base", base}} {
		if _, _, err := command(t, "", args...); err == nil || !strings.Contains(err.Error(), "want") && !strings.Contains(err.Error(), "arguments") && !strings.Contains(err.Error(), "--base goes with") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
