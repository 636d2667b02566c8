package magics

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/lora"
)

// adapterFiles are the tiny models and the adapters of PEFT that internal/lora
// is tested with.
func adapterFiles(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../internal/lora/testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// merged writes the llama with an adapter in its weights.
func merged(t *testing.T, dir, name string, scale float32) string {
	t.Helper()
	base, err := gguf.Open(filepath.Join(dir, "llama.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	a, err := lora.Open(filepath.Join(dir, "llama", name), base)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	m, err := lora.Merge(base, a, scale)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), fmt.Sprintf("%s-%g.gguf", name, scale)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// continues is what the current model makes of a prompt.
func continues(t *testing.T, in *Interpreter) string {
	t.Helper()
	run(in, "%infer --temperature 0 --max-tokens 20 --var v abcdefg hij")
	v, ok := in.vars.Get("v")
	if !ok || v == "" {
		t.Fatal("no text")
	}
	return v.(string)
}

// TestAdapter: adapters are switched from cell to cell, and a model with one
// says what the model with the same one in its weights does.
func TestAdapter(t *testing.T) {
	in, dir := newTestInterpreter(t), adapterFiles(t)
	want := map[string]string{}
	for _, m := range []struct {
		name  string
		scale float32
	}{{"plain", 1}, {"plain", 0.5}, {"dora", 1}, {"saved", 1}} {
		if out := run(in, "%load "+merged(t, dir, m.name, m.scale)+" --cache-type f32"); !strings.Contains(out, "loaded") {
			t.Fatal(out)
		}
		want[fmt.Sprintf("%s=%g", m.name, m.scale)] = continues(t, in)
	}
	run(in, "%load "+dir+"/llama.gguf --cache-type f32")
	want["off"] = continues(t, in)
	texts := []string{}
	for _, w := range want {
		if !slices.Contains(texts, w) {
			texts = append(texts, w)
		}
	}
	if len(texts) < 5 {
		t.Fatalf("only %d different texts: %q", len(texts), want)
	}
	for _, c := range []struct{ code, out, text string }{
		{"%adapter", "llama has no adapters; %adapter add FOLDER attaches one", "off"},
		{"%adapter add " + dir + "/llama/plain", "attached plain: LoRA of rank 4, changes 14 weights, 3712 parameters, trained on tiny/llama\nllama with plain×1", "plain=1"},
		{"%adapter plain=0.5", "llama with plain×0.5", "plain=0.5"},
		{"%adapter off", "llama as it was loaded, without adapters", "off"},
		{"%adapter add " + dir + "/llama/dora --name d --scale 0", "attached d: DoRA of rank 4", "off"},
		{"%adapter d", "llama with d×1", "dora=1"},
		{"%adapter plain", "llama with plain×1", "plain=1"},
		{"%adapter list", "trained on", "plain=1"},
		{"%adapter rm plain", "removed plain\nllama as it was loaded", "off"},
		{"%adapter add " + dir + "/llama/saved", "attached saved: LoRA of rank 4, changes 2 weights, replaces 6 tensors", "saved=1"},
		{"%adapter add " + dir + "/llama/embedding", "embedding", ""},
	} {
		if out := run(in, c.code); !strings.Contains(out, c.out) {
			t.Errorf("%s: %s, want %s", c.code, out, c.out)
		}
		if got := continues(t, in); c.text != "" && got != want[c.text] {
			t.Errorf("after %s: %q, want %q", c.code, got, want[c.text])
		}
	}
}

func TestAdapterMistakes(t *testing.T) {
	in, dir := newTestInterpreter(t), adapterFiles(t)
	if out := run(in, "%adapter list"); !strings.Contains(out, "no model loaded") {
		t.Error(out)
	}
	run(in, "%load "+dir+"/llama.gguf")
	run(in, "%adapter add "+dir+"/llama/plain")
	before := continues(t, in)
	for code, want := range map[string]string{
		"%adapter add " + dir + "/qwen2/bias":              "does not fit tiny llama",
		"%adapter add " + dir + "/qwen2.gguf --name other": "is a model, not an adapter; %load takes it",
		"%adapter add " + dir:                              "is no adapter: want a folder with adapter_config.json",
		"%adapter add nosuch":                              "no adapter nosuch: want a folder",
		"%adapter add " + dir + "/llama/plain":             "llama has an adapter plain; choose another --name",
		"%adapter add a b":                                 "want one adapter, got 2",
		"%adapter plan=1":                                  "llama has no adapter plan; did you mean plain?",
		"%adapter plain=x":                                 "want a number after =",
		"%adapter plain plain=2":                           "plain is there twice",
		"%adapter plain --scale 3":                         "--name and --scale go with add",
		"%adapter rm":                                      "want one name, got 0",
		"%adapter rm x":                                    "has no adapter x; attached: plain",
		"%load " + dir + "/llama.gguf --base x":            "--base goes with an adapter's folder",
		"%load " + dir + "/phi3.gguf --adapter " + dir + "/llama/plain": "does not fit tiny phi3",
	} {
		if out := run(in, code); !strings.Contains(out, want) {
			t.Errorf("%s: %s, want %s", code, out, want)
		}
	}
	if names := in.models.names(); !slices.Equal(names, []string{"llama"}) {
		t.Errorf("loaded are %q", names)
	}
	if got := continues(t, in); got != before {
		t.Errorf("after mistakes %q, before %q", got, before)
	}
}

// TestLoadAdapter: %load of an adapter finds the base that it names, and
// attaches it.
func TestLoadAdapter(t *testing.T) {
	in, dir := newTestInterpreter(t), adapterFiles(t)
	run(in, "%load "+merged(t, dir, "plain", 1)+" --cache-type f32")
	want := continues(t, in)
	run(in, "%unload")
	check := func(code, told string) {
		t.Helper()
		out := run(in, code+" --cache-type f32")
		if !strings.Contains(out, "loaded") || !strings.Contains(out, "attached plain: LoRA of rank 4") || !strings.Contains(out, told) {
			t.Errorf("%s: %s", code, out)
			return
		}
		if got := continues(t, in); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
		run(in, "%unload")
	}
	check("%load "+dir+"/llama.gguf --adapter "+dir+"/llama/plain", "")
	check("%load "+dir+"/llama/plain --base "+dir+"/llama.gguf", "loaded plain")
	out := run(in, "%load "+dir+"/llama/plain --offline")
	if !strings.Contains(out, "the base of "+dir+"/llama/plain is tiny/llama") || !strings.Contains(out, "--base") {
		t.Errorf("without its base: %s", out)
	}
	t.Setenv("LLCUDA_MODELS", dir)
	check("%load "+dir+"/llama/plain", "the base tiny/llama is here as llama")
}

// TestLoadAdapterFromHub: %load of a repository with an adapter, as
// push_to_hub leaves it, fetches the adapter and its base.
func TestLoadAdapterFromHub(t *testing.T) {
	in, dir := newTestInterpreter(t), adapterFiles(t)
	run(in, "%load "+merged(t, dir, "plain", 1)+" --cache-type f32")
	want := continues(t, in)
	run(in, "%unload")
	f, _ := newTestHub(t)
	read := func(path string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}a{% endif %}"
	f.Others["some/plain-lora"] = map[string][]byte{"adapter_config.json": read("llama/plain/adapter_config.json"),
		"adapter_model.safetensors": read("llama/plain/adapter_model.safetensors"), "chat_template.jinja": []byte(template), "README.md": []byte("x")}
	f.Others["tiny/llama"] = map[string][]byte{"llama.gguf": read("llama.gguf")}
	for _, c := range []struct{ flags, told string }{
		{"--base " + dir + "/llama.gguf --revision main", "its chat template is the adapter's"},
		{"", "its chat template is the adapter's"},
		{"--merge", "merged plain-lora×1 into the weights"},
		{"--offline --as tuned", "loaded tuned"},
	} {
		out := run(in, "%load some/plain-lora --cache-type f32 "+c.flags)
		if !strings.Contains(out, "loaded ") || !strings.Contains(out, c.told) || !strings.Contains(out, "plain-lora") {
			t.Errorf("%s: %s", c.flags, out)
			continue
		}
		if got := continues(t, in); got != want {
			t.Errorf("%s: %q, want %q", c.flags, got, want)
		}
		run(in, "%unload")
	}
	if out := run(in, "%pull some/plain-lora"); !strings.Contains(out, "plain-lora is at ") {
		t.Error(out)
	}
	if out := run(in, "%verify some/plain-lora demo"); !strings.Contains(out, "ModelError: some/plain-lora has an adapter of PEFT and no model; %load takes it") {
		t.Error(out)
	}
	if out := run(in, "%load tiny/llama --base demo"); !strings.Contains(out, "tiny/llama has no adapter_config.json") {
		t.Error(out)
	}
}

// TestLoadAdapterTemplate: an adapter that is loaded with its base brings the
// chat template of its training.
func TestLoadAdapterTemplate(t *testing.T) {
	in, dir := newTestInterpreter(t), adapterFiles(t)
	const template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}a{% endif %}"
	for name, text := range map[string]string{
		"chat_template.jinja":   template,
		"tokenizer_config.json": `{"chat_template": "` + template + `"}`,
		"several":               `{"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "` + template + `"}]}`,
		"none":                  `{"chat_template": null}`,
		"broken":                `{"chat_template": 3}`,
	} {
		folder := filepath.Join(t.TempDir(), "tuned")
		if err := os.CopyFS(folder, os.DirFS(dir+"/llama/plain")); err != nil {
			t.Fatal(err)
		}
		file := name
		if filepath.Ext(name) == "" {
			file = "tokenizer_config.json"
		}
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := run(in, "%load "+folder+" --base "+dir+"/llama.gguf")
		switch {
		case name == "broken":
			if !strings.Contains(out, "tokenizer_config.json: chat_template: json") {
				t.Errorf("%s: %s", name, out)
			}
			continue
		case name == "none":
			if strings.Contains(out, "chat template") || !strings.Contains(out, "attached tuned") {
				t.Errorf("%s: %s", name, out)
			}
			continue
		case !strings.Contains(out, "attached tuned") || !strings.Contains(out, "its chat template is the adapter's"):
			t.Errorf("%s: %s", name, out)
			continue
		}
		l, err := in.models.find("tuned")
		if err != nil {
			t.Fatal(err)
		}
		if got := l.model.ChatTemplate(); got != template {
			t.Errorf("%s: the template is %q", name, got)
		}
		run(in, "%unload tuned")
	}
}
