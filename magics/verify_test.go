package magics

import (
	"strings"
	"testing"
)

// TestVerify: a base with an adapter and the two merged are the same, the base
// without it is another model.
func TestVerify(t *testing.T) {
	in, dir := newTestInterpreter(t), adapterFiles(t)
	file := merged(t, dir, "plain", 1)
	run(in, "%load "+dir+"/llama.gguf --adapter "+dir+"/llama/plain --cache-type f32 --as tuned")
	for _, c := range []struct{ code, want string }{
		{"%verify tuned " + file, "plain-1.gguf are the same"},
		{"%verify " + dir + "/llama.gguf " + file, "are not the same model in two forms: their probabilities differ by"},
		{"%verify " + dir + "/llama.gguf " + dir + "/llama.gguf --tokens 20", "at 100.0 % of 20 positions"},
		{"%verify " + dir + "/llama.gguf", "want two models, got 1"},
		{"%verify nosuch tuned", "no model nosuch"},
		{"%verify tuned tuned --tokens 1", "want at least 2"},
		{"%verify tuned tuned --file nosuch.txt", "nosuch.txt"},
	} {
		if out := run(in, c.code); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s, want %s", c.code, out, c.want)
		}
	}
	if names := in.models.names(); len(names) != 1 || names[0] != "tuned" {
		t.Errorf("loaded are %q", names)
	}
}
