package hub

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a checkpoint of transformers has beside its weights, as far as it is
// read.
var besideWeights = []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "added_tokens.json",
	"chat_template.jinja", "chat_template.json"}

var weightShard = regexp.MustCompile(`^model-(\d{5})-of-(\d{5})\.safetensors$`)

// checkpoint is the checkpoint of transformers at the root of a repository: its
// weights, or their index, come first. Shards are all there, or it is none.
func (r *Repo) checkpoint() (Model, bool) {
	at := map[string]File{}
	var shards, templates []File
	total := 0
	for _, f := range r.Files {
		at[f.Path] = f
		if m := weightShard.FindStringSubmatch(f.Path); m != nil {
			total, _ = strconv.Atoi(m[2])
			shards = append(shards, f)
		}
		if ok, _ := path.Match("additional_chat_templates/*.jinja", f.Path); ok {
			templates = append(templates, f)
		}
	}
	m := Model{Name: path.Base(r.ID)}
	if index, ok := at["model.safetensors.index.json"]; ok && len(shards) > 0 && len(shards) == total {
		slices.SortFunc(shards, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
		m.Files = append([]File{index}, shards...)
	} else if one, ok := at["model.safetensors"]; ok {
		m.Files = []File{one}
	}
	if _, ok := at["config.json"]; !ok || m.Files == nil {
		return m, false
	}
	for _, name := range besideWeights {
		if f, ok := at[name]; ok {
			m.Files = append(m.Files, f)
		}
	}
	if _, ok := at["tokenizer.json"]; !ok {
		if f, ok := at["tokenizer.model"]; ok {
			m.Files = append(m.Files, f)
		}
	}
	m.Files = append(m.Files, templates...)
	for _, f := range m.Files {
		m.Size += f.Size
	}
	return m, true
}
