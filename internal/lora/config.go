package lora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A config is what of PEFT's adapter_config.json changes the result
// (peft/tuners/lora/config.py). A field that is unknown, or known and not
// supported, is refused unless it is off.
type config struct {
	base     string
	rank     int
	alpha    float64
	stable   bool // scaled by alpha/√rank
	dora     bool
	tying    bool // weights that are tied in the base stay so
	patterns [2][]pattern
}

// A pattern is an entry of rank_pattern or alpha_pattern.
type pattern struct {
	match *regexp.Regexp
	value float64
}

const (
	ranks = iota
	alphas
)

// Fields of a config by what becomes of them. What only says how the adapter
// was trained, or which modules it has, which its tensors say too, is harmless.
var (
	harmless = []string{"auto_mapping", "task_type", "peft_version", "revision", "inference_mode", "target_modules",
		"exclude_modules", "lora_dropout", "fan_in_fan_out", "bias", "lora_bias", "modules_to_save", "layers_to_transform",
		"layers_pattern", "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "runtime_config"}

	unsupported = map[string]string{
		"layer_replication":       "it makes a model of more layers out of its base's",
		"trainable_token_indices": "it changes single tokens of the embedding",
		"target_parameters":       "it changes parameters that are in no linear layer",
		"alora_invocation_tokens": "it acts only after certain tokens",
		"use_qalora":              "its A is for groups of inputs",
		"megatron_config":         "it is for Megatron's layers",
		"arrow_config":            "it chooses among adapters token by token",
		"use_bdlora":              "its matrices are block-diagonal",
	}
)

func readConfig(b []byte) (*config, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	c := &config{}
	var kind string
	var initial any = true
	var err error
	field := func(key string, into any) {
		if raw := fields[key]; err == nil && !off(raw) {
			if e := json.Unmarshal(raw, into); e != nil {
				err = fmt.Errorf("%s is %.60s: %w", key, raw, e)
			}
		}
		delete(fields, key)
	}
	field("peft_type", &kind)
	field("base_model_name_or_path", &c.base)
	field("r", &c.rank)
	field("lora_alpha", &c.alpha)
	field("use_rslora", &c.stable)
	field("use_dora", &c.dora)
	field("ensure_weight_tying", &c.tying)
	field("init_lora_weights", &initial)
	for i, key := range []string{ranks: "rank_pattern", alphas: "alpha_pattern"} {
		raw := fields[key]
		delete(fields, key)
		if err == nil && !off(raw) {
			if c.patterns[i], err = readPatterns(raw); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	switch {
	case err != nil:
		return nil, err
	case kind != "LORA":
		return nil, fmt.Errorf("peft_type is %q; only LORA is supported", kind)
	case c.rank < 1 || c.rank > maxRank:
		return nil, fmt.Errorf("r is %d, want 1 to %d", c.rank, maxRank)
	case c.alpha <= 0 || c.alpha > math.MaxFloat32:
		return nil, fmt.Errorf("lora_alpha is %g, want a number above 0", c.alpha)
	}
	if err := keepsBase(initial); err != nil {
		return nil, err
	}
	if err := rest(fields); err != nil {
		return nil, err
	}
	return c, nil
}

const maxRank = 1 << 16

// keepsBase refuses adapters whose base was changed when training began: they
// are right with that base only, which is not the one that they name. Where
// PEFT converts such an adapter on saving, it writes true.
func keepsBase(initial any) error {
	how, named := initial.(string)
	if _, plain := initial.(bool); plain || named && slices.Contains([]string{"gaussian", "eva", "orthogonal"}, how) {
		return nil
	}
	return fmt.Errorf("init_lora_weights is %v, which changes the base before the training; save the adapter with "+
		"path_initial_model_for_weight_conversion (PEFT), or merge it where it was trained", initial)
}

// rest refuses the fields that nobody has read, in the order of their names.
func rest(fields map[string]json.RawMessage) error {
	for _, key := range harmless {
		delete(fields, key)
	}
	for key, raw := range fields {
		if off(raw) {
			delete(fields, key)
		}
	}
	var keys []string
	for key := range fields {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if why := unsupported[key]; why != "" {
			return fmt.Errorf("%s is set: %s, which is not supported; merge it where it was trained", key, why)
		}
		return fmt.Errorf("%q is set to %.60s, which is not known here and may change the result; merge the adapter where it was trained", key, fields[key])
	}
	return nil
}

// off says whether a value is one that asks for nothing.
func off(raw json.RawMessage) bool {
	s := strings.TrimSpace(string(raw))
	return slices.Contains([]string{"", "null", "false", "{}", "[]", `""`, "0"}, s)
}

// readPatterns reads an object whose keys are regular expressions, in their
// order, of which the first that matches is the one that counts.
func readPatterns(raw json.RawMessage) ([]pattern, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("want an object, got %.60s", raw)
	}
	var all []pattern
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("want a name, got %v", t)
		}
		p := pattern{}
		if p.match, err = regexp.Compile(`^(?:.*\.)?(?:` + key + `)$`); err != nil {
			return nil, fmt.Errorf("the pattern %.60q is not supported: %w", key, err)
		}
		if err := d.Decode(&p.value); err != nil {
			return nil, fmt.Errorf("%.60q: %w", key, err)
		}
		if !(p.value > 0 && p.value <= math.MaxFloat32) {
			return nil, fmt.Errorf("%.60q is %g, want a number above 0", key, p.value)
		}
		if all = append(all, p); len(all) > 1<<14 {
			return nil, fmt.Errorf("more than %d patterns", 1<<14)
		}
	}
	return all, nil
}

// of is the value for a module, or def.
func of(patterns []pattern, module string, def float64) float64 {
	for _, p := range patterns {
		if p.match.MatchString(module) {
			return p.value
		}
	}
	return def
}

// scale is what B·A of a module is multiplied by, and the rank that it has to
// have.
func (c *config) scale(module string) (scale float64, rank int) {
	rank = int(min(of(c.patterns[ranks], module, float64(c.rank)), maxRank))
	alpha := of(c.patterns[alphas], module, c.alpha)
	if c.stable {
		return alpha / math.Sqrt(float64(rank)), rank
	}
	return alpha / float64(rank), rank
}
