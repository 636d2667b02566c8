package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAdapters: those of the folders and of Hugging Face's cache that can be
// loaded are listed once, by the name that finds them, and are no models.
func TestAdapters(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"HOME", "XDG_CACHE_HOME", "OLLAMA_MODELS", "LLAMA_CACHE"} {
		t.Setenv(env, t.TempDir())
	}
	t.Setenv("HF_HOME", filepath.Join(here, "hf"))
	t.Setenv("LLCUDA_MODELS", filepath.Join(here, "models"))
	commit, older := strings.Repeat("a", 40), strings.Repeat("b", 40)
	config := func(base string) string {
		return fmt.Sprintf(`{"peft_type": "LORA", "base_model_name_or_path": %s}`, base)
	}
	for name, text := range map[string]string{
		"robots/adapter_config.json":                                                         config(`"demo"`),
		"robots/adapter_model.safetensors":                                                   "1234",
		"models/coder/adapter_config.json":                                                   config("null"),
		"models/coder/adapter_model.safetensors":                                             "12",
		"models/coder/chat_template.jinja":                                                   "1",
		"models/pickled/adapter_config.json":                                                 config(`"x/y"`),
		"models/pickled/adapter_model.bin":                                                   "1",
		"hf/hub/models--poets--tiny-lora/refs/main":                                          commit,
		"hf/hub/models--poets--tiny-lora/snapshots/" + commit + "/adapter_config.json":       config(`"tiny/llama\u001b[31m"`),
		"hf/hub/models--poets--tiny-lora/snapshots/" + commit + "/adapter_model.safetensors": "123",
		"hf/hub/models--poets--tiny-lora/snapshots/" + older + "/adapter_config.json":        config(`"old/llama"`),
		"hf/hub/models--poets--tiny-lora/snapshots/" + older + "/adapter_model.safetensors":  "123",
		"hf/hub/models--poets--part/snapshots/" + commit + "/adapter_config.json":            config(`"x/y"`),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := FromEnv()
	var got []string
	for _, a := range c.Adapters() {
		got = append(got, fmt.Sprintf("%s for %q in %s", a.Name, a.Base, a.Source))
		f, err := c.FindAdapter(t.Context(), Query{Name: a.Name, Offline: true})
		if err != nil || f.Path != a.Path {
			t.Errorf("%s: %+v, %v, want %s", a.Name, f, err, a.Path)
		}
	}
	want := []string{
		fmt.Sprintf("%s for \"\" in folder", filepath.Join(here, "models", "coder")),
		`robots for "demo" in folder`,
		`poets/tiny-lora for "tiny/llama[31m" in Hugging Face cache`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if all := c.Local(); len(all) != 0 {
		t.Errorf("models: %+v", all)
	}
}
