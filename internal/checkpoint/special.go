package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// specials adds the ids of tokens with a role, and what encoding adds.
func (m *model) specials(v *vocabulary, f *tokenizerFile, config *object) {
	generation, err := m.read("generation_config.json", maxConfig, false)
	if err != nil {
		m.fail(err)
		return
	}
	eos := -1
	for _, role := range []struct{ name, key string }{{"bos", "bos"}, {"eos", "eos"}, {"unk", "unknown"}, {"sep", "seperator"}, {"pad", "padding"}} {
		id := v.special(config, role.name+"_token")
		for _, o := range []*object{m.config, generation} {
			if id < 0 && o != nil {
				id = o.id(role.name + "_token_id")
			}
		}
		if id < 0 || id >= len(v.tokens) {
			continue
		}
		m.add("tokenizer.ggml."+role.key+"_token_id", uint32(id))
		if role.name == "eos" {
			eos = id
		}
	}
	m.ends(eos, len(v.tokens), generation)
	bos, end := v.adds(f, config)
	m.add("tokenizer.ggml.add_bos_token", bos)
	m.add("tokenizer.ggml.add_eos_token", end)
	if v.model == "llama" {
		m.add("tokenizer.ggml.add_space_prefix", v.prefix != "")
	}
	if v.prefix == "first" || v.prefix == "always" {
		m.add("tokenizer.ggml.space_prefix", v.prefix)
	}
	if v.nfc {
		m.add("tokenizer.ggml.normalizer.nfc", true)
	}
	if len(v.lstrip)+len(v.rstrip) > 0 || m.arch.name == "phi3" { // whose rules would be guessed by the model's name
		m.add("tokenizer.ggml.lstrip_token_ids", append([]int32{}, v.lstrip...))
		m.add("tokenizer.ggml.rstrip_token_ids", append([]int32{}, v.rstrip...))
	}
}

// special is the id of a token that tokenizer_config.json names, or -1.
func (v *vocabulary) special(config *object, key string) int {
	text := ""
	switch t := config.value(key, false).(type) {
	case string:
		text = t
	case map[string]any:
		text, _ = t["content"].(string)
	}
	if text == "" {
		return -1
	}
	return slices.Index(v.tokens, text)
}

// ends adds the tokens that end a generation beside EOS.
func (m *model) ends(eos, tokens int, generation *object) {
	var ids []int32
	for _, o := range []*object{m.config, generation} {
		list, _ := o.value("eos_token_id", false).([]any)
		if list == nil {
			list = []any{o.value("eos_token_id", false)}
		}
		for _, x := range list {
			f, ok := number(x)
			if id := int32(f); ok && f >= 0 && f < float64(tokens) && float64(id) == f && int(id) != eos && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	if ids != nil {
		m.add("tokenizer.ggml.eog_token_ids", ids)
	}
}

// adds says whether encoding puts BOS before a text and EOS behind it: what
// tokenizer_config.json says, or else the template of the post-processor.
func (v *vocabulary) adds(f *tokenizerFile, config *object) (bos, eos bool) {
	if f == nil {
		bos = true // what the classes of transformers do
	} else {
		for _, s := range f.PostProcessor.flat() {
			if n := len(s.Single); s.Type == "TemplateProcessing" && n > 1 {
				bos, eos = bos || s.Single[0].Special != nil, eos || s.Single[n-1].Special != nil
			}
		}
	}
	return config.bool("add_bos_token", bos), config.bool("add_eos_token", eos)
}

// templates adds the chat templates: of files of their own, as transformers
// writes them now, or of the JSON files.
func (m *model) templates(config *object) {
	const key = "tokenizer.chat_template"
	var names []string
	add := func(name, text string) {
		if name != "" && name != "default" {
			names = append(names, name)
			m.add(key+"."+name, text)
			return
		}
		m.add(key, text)
	}
	b, err := m.bytes("chat_template.jinja", maxConfig)
	if err != nil {
		m.fail(err)
		return
	}
	if b != nil {
		add("", string(b))
	} else {
		m.oldTemplates(config, add)
	}
	more, _ := os.ReadDir(filepath.Join(m.dir, "additional_chat_templates")) // in the order of their names
	for _, e := range more {
		name, ok := strings.CutSuffix(e.Name(), ".jinja")
		if !ok || slices.Contains(names, name) {
			continue
		}
		if b, err := m.bytes(filepath.Join("additional_chat_templates", e.Name()), maxConfig); err == nil && b != nil {
			add(name, string(b))
		}
	}
	if names != nil {
		m.add(key+"s", names)
	}
}

// oldTemplates reads chat_template.json, of processors, or the field of
// tokenizer_config.json: a text, or a list of named ones.
func (m *model) oldTemplates(config *object, add func(name, text string)) {
	o, err := m.read("chat_template.json", maxConfig, false)
	if err != nil {
		m.fail(err)
		return
	}
	v := o.value("chat_template", false)
	if v == nil {
		v = config.value("chat_template", false)
	}
	switch v := v.(type) {
	case string:
		add("", v)
	case []any:
		seen := map[string]bool{}
		for _, x := range v {
			t, _ := x.(map[string]any)
			name, _ := t["name"].(string)
			text, ok := t["template"].(string)
			if ok && !seen[name] {
				seen[name] = true
				add(name, text)
			}
		}
	}
}
