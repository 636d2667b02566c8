package checkpoint

import (
	"maps"
	"slices"
	"strings"
)

// An architecture is how the checkpoints of one family of models become files
// of the engine's architecture of that name. Its file registers it under the
// names that config.json has for it.
type architecture struct {
	name string // general.architecture

	// keys adds hyper-parameters beside those that all have.
	keys func(m *model)

	act    string   // the activation that the engine computes with
	gemma  bool     // norms are kept without their 1, embeddings are tied
	beside []string // prefixes of tensors that are no part of the text model
}

var architectures = map[string]*architecture{}

// register adds an architecture by its names: the class in architectures, and
// model_type.
func register(a *architecture, names ...string) {
	for _, n := range names {
		architectures[n] = a
	}
}

// architecture finds the model's, by its class, or else by its type. The text
// model of a larger one has its own object in config.json, which is m.config
// from then on.
func (m *model) architecture() (*architecture, error) {
	var names []string
	for _, key := range []string{"architectures", "model_type"} {
		switch v := m.config.value(key, false).(type) {
		case string:
			names = append(names, v)
		case []any:
			for _, s := range v {
				if s, ok := s.(string); ok {
					names = append(names, s)
				}
			}
		}
	}
	for _, n := range names {
		a := architectures[n]
		if a == nil {
			continue
		}
		if text := m.config.object("text_config"); text != nil {
			for key, v := range m.config.fields {
				if _, ok := text.fields[key]; !ok && key != "text_config" {
					text.fields[key] = v
				}
			}
			m.config = text
		}
		return a, nil
	}
	if len(names) == 0 {
		return nil, refuse(nextDamaged, "config.json names no architecture")
	}
	var known []string
	for n := range maps.Keys(architectures) {
		if strings.HasPrefix(n, strings.ToUpper(n[:1])) {
			known = append(known, n)
		}
	}
	slices.Sort(known)
	return nil, refuse("take another model, or its GGUF if llama.cpp has the architecture",
		"a model of architecture %.100q is not supported; llcuda has %s", names[0], strings.Join(known, ", "))
}
