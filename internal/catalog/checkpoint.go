package catalog

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/llcuda/llcuda/internal/safetensors"
)

// checkpoint is the error of a folder that transformers, PEFT or Unsloth saved:
// what is in it, and what to do with it.
func checkpoint(dir string) error {
	weights := weightsText(dir)
	var a adapterConfig
	if readConfig(dir, "adapter_config.json", &a) {
		next := "merge it into its base and save it as GGUF (Unsloth: model.save_pretrained_gguf), then load that file"
		return fmt.Errorf("%s is %s, %s; adapters of this form are not loaded yet: %s", dir, a.text(), weights, next)
	}
	var m modelConfig
	readConfig(dir, "config.json", &m)
	next := "save it as GGUF (Unsloth: model.save_pretrained_gguf) and load that file"
	return fmt.Errorf("%s is a checkpoint of transformers or PEFT (%s), %s; these are not loaded yet: %s", dir, m.text(), weights, next)
}

// modelConfig is what of config.json says which model it is.
type modelConfig struct {
	Architectures any `json:"architectures"` // a list of strings
	ModelType     any `json:"model_type"`
	Quantization  struct {
		Method any  `json:"quant_method"`
		Bits4  bool `json:"load_in_4bit"`
		Type4  any  `json:"bnb_4bit_quant_type"`
	} `json:"quantization_config"`
}

func (m *modelConfig) text() string {
	s := word(m.ModelType)
	if list, _ := m.Architectures.([]any); len(list) > 0 && word(list[0]) != "" {
		s = word(list[0])
	}
	if s == "" {
		s = "architecture unknown"
	}
	if q := word(m.Quantization.Method); q != "" {
		s += ", quantised by " + q
		if t := word(m.Quantization.Type4); t != "" && m.Quantization.Bits4 {
			s += " as " + t
		}
	}
	return s
}

// adapterConfig is what of adapter_config.json says which adapter it is.
type adapterConfig struct {
	Type any `json:"peft_type"`
	Base any `json:"base_model_name_or_path"`
	Rank any `json:"r"`
}

func (a *adapterConfig) text() string {
	s := "an adapter of PEFT"
	if t := word(a.Type); t != "" {
		s += " (" + t
		if r, ok := a.Rank.(float64); ok {
			s += fmt.Sprintf(", rank %.6g", r)
		}
		s += ")"
	}
	if b := word(a.Base); b != "" {
		return s + " for " + b
	}
	return s + " that names no base model"
}

// weightsText says what weights a folder has.
func weightsText(dir string) string {
	f, err := safetensors.Open(dir)
	if err != nil {
		if found, _ := filepath.Glob(filepath.Join(dir, "*.safetensors*")); len(found) > 0 {
			return "whose weights cannot be read (" + err.Error() + ")"
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "*.bin")); len(found) > 0 {
			return "whose weights are pickles, which can run code (" + filepath.Base(found[0]) + ")"
		}
		return "without weights"
	}
	defer f.Close()
	var types []string
	for _, c := range f.TypeCounts() {
		types = append(types, string(c.DType))
	}
	noun := "tensors"
	if len(f.Tensors) == 1 {
		noun = "tensor"
	}
	return fmt.Sprintf("with %d %s of %s (%d numbers)", len(f.Tensors), noun, strings.Join(types, ", "), f.Params())
}

// readConfig reads a JSON file of a checkpoint, and says whether it is there;
// what cannot be read of it stays zero.
func readConfig(dir, name string, into any) bool {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(into)
	return true
}

// word is a string of a file that is fit to be shown: one line, not too long.
func word(v any) string {
	const most = 100 // characters
	s, _ := v.(string)
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
