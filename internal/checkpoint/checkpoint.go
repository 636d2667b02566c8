// Package checkpoint sees a folder that transformers or Unsloth saved as a GGUF
// file: the metadata and the tensors that llama.cpp's converter would write
// (convert_hf_to_gguf.py of October 2026), under the same names. Numbers that
// lie in the checkpoint as GGUF has them are views of it; others (the rotated
// rows of Llama's queries and keys, Gemma's norms, weights in 8 bits) are made
// when they are wanted.
//
// Where the converter loses something that transformers knows, the file says it
// in keys of llcuda's own, which others ignore: see [tokenizer.ReadVocab]. A
// checkpoint that cannot be computed exactly as transformers does is refused
// with an *Error that says what it has and what to do.
//
// Nothing of a checkpoint is executed: pickles and code of its own are refused.
package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
)

// An Error says what is wrong with a checkpoint, or what of it is not
// supported, and what to do next.
type Error struct {
	Path string
	What error
	Next string // after a semicolon
}

func (e *Error) Error() string { return fmt.Sprintf("checkpoint: %s: %v; %s", e.Path, e.What, e.Next) }
func (e *Error) Unwrap() error { return e.What }

// What to do, where a fault does not say it better.
const (
	nextDamaged = "the folder is damaged or incomplete: download it again, or save the model again"
	nextConvert = "load a GGUF of the model instead"
)

// Is reports whether a path is a checkpoint's: its folder, or a .safetensors
// file or index in it. A folder is one by its config.json.
func Is(path string) bool {
	if strings.HasSuffix(path, ".safetensors") || strings.HasSuffix(path, ".safetensors.index.json") {
		return true
	}
	info, err := os.Stat(filepath.Join(path, "config.json"))
	return err == nil && info.Mode().IsRegular()
}

// Open sees a folder, or one .safetensors file or index with the folder around
// it, as a GGUF file. Its Close closes the checkpoint.
func Open(path string) (*gguf.File, error) {
	dir := path
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	} else if !info.IsDir() {
		dir = filepath.Dir(path)
	}
	m := &model{dir: dir, bytes: folder(dir)}
	if err := m.open(path); err != nil {
		return nil, m.fault(err)
	}
	f, err := m.view()
	if err != nil {
		m.weights.Close()
		return nil, m.fault(err)
	}
	f.Path = path
	return f, nil
}

// fault makes an *Error of an error.
func (m *model) fault(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Path = m.dir
		return e
	}
	return &Error{Path: m.dir, What: err, Next: nextDamaged}
}

// refuse is the error of what is not supported.
func refuse(next, format string, args ...any) error {
	return &Error{What: fmt.Errorf(format, args...), Next: next}
}

// A model is a checkpoint while it is read. The first error stays in err.
type model struct {
	dir     string
	bytes   source
	weights *safetensors.File
	config  *object // of the text model
	arch    *architecture
	layers  int
	vocab   int // rows of the embedding

	meta    []gguf.KV
	tensors []gguf.Tensor
	err     error
}

// configure reads config.json.
func (m *model) configure() (err error) {
	if m.config, err = m.read("config.json", maxConfig, true); err != nil {
		return err
	}
	if m.arch, err = m.architecture(); err != nil {
		return err
	}
	return m.quantisation()
}

// quantisation refuses weights in forms that are not read.
func (m *model) quantisation() error {
	q := m.config.object("quantization_config")
	method, format := q.text("quant_method", ""), q.text("format", "")
	if q != nil && method == "" && (q.bool("load_in_4bit", false) || q.bool("load_in_8bit", false)) {
		method = "bitsandbytes"
	}
	switch {
	case *m.config.err != nil:
		return *m.config.err
	case method == "", method == "bitsandbytes", method == "fp8", method == "fbgemm_fp8":
	case method == "compressed-tensors" && (format == "float-quantized" || format == "naive-quantized"):
	default:
		if format != "" {
			method += " (" + format + ")"
		}
		return refuse("load the model that was not quantised, or a GGUF of it", "weights quantised by %.60s are not supported, only bitsandbytes and fp8", method)
	}
	return nil
}

// open reads config.json and the header of the weights.
func (m *model) open(path string) error {
	err := m.configure()
	if err != nil {
		return err
	}
	if strings.Contains(filepath.Base(path), "-of-") && strings.HasSuffix(path, ".safetensors") {
		path = m.dir // one shard alone is no model
	}
	if m.weights, err = safetensors.Open(path); err == nil {
		return nil
	}
	files, _ := os.ReadDir(m.dir)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".bin") {
			return refuse("save the model again with safe_serialization=True", "its weights are pickles, which can run code (%s)", f.Name())
		}
	}
	return err
}

// view makes the file.
func (m *model) view() (*gguf.File, error) {
	m.embedding()
	m.add("general.architecture", m.arch.name)
	m.add("general.type", "model")
	m.add("general.name", m.name())
	m.hyper()
	if m.err == nil && *m.config.err == nil {
		m.arch.keys(m)
	}
	if m.err == nil {
		m.err = *m.config.err
	}
	m.vocabulary()
	m.allTensors()
	if m.err != nil {
		return nil, m.err
	}
	m.fileType()
	return gguf.New(m.meta, m.tensors, m.weights)
}

func (m *model) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *model) add(key string, value any) { m.meta = append(m.meta, gguf.KV{Key: key, Value: value}) }

// set adds a key of the architecture.
func (m *model) set(key string, value any) { m.add(m.arch.name+"."+key, value) }

// name is what the model is called: as its config says, else as its folder.
func (m *model) name() string {
	if s := m.config.text("_name_or_path", ""); s != "" && !filepath.IsAbs(s) && !strings.HasPrefix(s, ".") {
		return filepath.Base(s)
	}
	dir, err := filepath.Abs(m.dir)
	if err != nil {
		return m.arch.name
	}
	// In Hugging Face's cache the folder is models--org--name/snapshots/commit.
	if up := filepath.Dir(dir); filepath.Base(up) == "snapshots" {
		if parts := strings.Split(filepath.Base(filepath.Dir(up)), "--"); len(parts) == 3 {
			return parts[2]
		}
	}
	return filepath.Base(dir)
}

// fileType adds general.file_type where all matrices have one type.
func (m *model) fileType() {
	numbers := map[string]uint32{"f32": 0, "f16": 1, "bf16": 32}
	kind := ""
	for i := range m.tensors {
		t := &m.tensors[i]
		if len(t.Shape) < 2 {
			continue
		}
		if kind != "" && kind != t.DType.String() {
			return
		}
		kind = t.DType.String()
	}
	if n, ok := numbers[strings.ToLower(kind)]; ok {
		m.add("general.file_type", n)
	}
}
