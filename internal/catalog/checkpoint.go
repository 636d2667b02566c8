package catalog

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/checkpoint"
	"github.com/llcuda/llcuda/internal/safetensors"
)

// Open opens what a Model's path is: a GGUF file, or a checkpoint as one.
func Open(path string) (*gguf.File, error) {
	if checkpoint.Is(path) {
		return checkpoint.Open(path)
	}
	return gguf.Open(path)
}

// checkpointModel is the model of a folder, or of a .safetensors file or an
// index in it; it is called as the folder.
func checkpointModel(path string) Model {
	m := Model{Path: path, Source: Folder}
	dir := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir = filepath.Dir(path)
	}
	if whole, err := filepath.Abs(dir); err == nil {
		m.Name = filepath.Base(whole)
	}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if info, err := os.Stat(filepath.Join(dir, f.Name())); err == nil && strings.HasSuffix(f.Name(), ".safetensors") {
			m.Size += info.Size()
		}
	}
	return m
}

// isAdapter reports whether a folder is one that PEFT saved.
func isAdapter(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, adapterConfigName))
	return err == nil
}

// adapter is the error of a folder that PEFT saved: what is in it, and what to
// do with it.
func adapter(dir string) error {
	var a adapterConfig
	readConfig(dir, adapterConfigName, &a)
	return fmt.Errorf("%s is %s, %s; give its base, and the folder with --adapter; in a cell, %%load takes the folder as it is", dir, a.text(), weightsText(dir))
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
