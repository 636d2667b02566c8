package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

// load reads the vocabulary of a GGUF file, which may be compressed.
func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ReadVocab(f)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// modelPath finds a file that is not committed.
func modelPath(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("LLCUDA_MODELS")
	if dir == "" {
		dir = "../../.models"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: make testdata brings the models, LLCUDA_MODELS names their folder", path)
	}
	return path
}

// A llamaCase is a text with its ids from llama.cpp's vocabulary tests (models/ggml-vocab-*.gguf.inp and .out).
type llamaCase struct {
	text string
	ids  []int32
}

func readCases(t testing.TB, path string) (cases []llamaCase) {
	t.Helper()
	texts, err := os.ReadFile(path + ".inp")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(path + ".out")
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(bytes.NewReader(lines))
	for _, text := range strings.Split(string(texts), "\n__ggml_vocab_test__\n") {
		s.Scan() // the last text is empty and has no line
		c := llamaCase{text: text}
		for _, f := range strings.Fields(s.Text()) {
			id, err := strconv.ParseInt(f, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			c.ids = append(c.ids, int32(id))
		}
		cases = append(cases, c)
	}
	if len(cases) < 40 {
		t.Fatalf("%s: %d cases, want 47", path, len(cases))
	}
	return cases
}

func checkCases(t *testing.T, tok *Tokenizer, cases []llamaCase) {
	t.Helper()
	for _, c := range cases {
		if got := tok.Encode(c.text, Options{NoBOS: true, NoEOS: true}); !slices.Equal(got, c.ids) {
			t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.ids)
		}
		if got := tok.Decode(c.ids); got != c.text {
			t.Errorf("Decode(%v) = %q, want %q", c.ids, got, c.text)
		}
	}
}

var fixtures = []string{"llama-spm", "phi-3", "gpt-2", "falcon", "deepseek-llm", "starcoder", "llama-bpe"}

func fixture(t testing.TB, name string) *Tokenizer {
	return load(t, "testdata/ggml-vocab-"+name+".gguf.gz")
}

func TestCases(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			checkCases(t, fixture(t, name), readCases(t, "testdata/ggml-vocab-"+name+".gguf"))
		})
	}
}

// TestMoreCases runs the vocabularies that are too large to commit, where the folder of the models has them.
func TestMoreCases(t *testing.T) {
	for _, name := range []string{"qwen2", "qwen35", "command-r", "deepseek-coder", "mpt", "refact", "gemma-4"} {
		t.Run(name, func(t *testing.T) {
			path := modelPath(t, "ggml-vocab-"+name+".gguf")
			checkCases(t, load(t, path), readCases(t, path))
		})
	}
}
