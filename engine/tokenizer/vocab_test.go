package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

// load makes the tokenizer of a GGUF file.
func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	tok, err := New(loadVocab(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// loadVocab reads the vocabulary of a GGUF file, which may be compressed.
func loadVocab(t testing.TB, path string) Vocab {
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
	return v
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

type keys map[string]any

func (k keys) Value(key string) (any, bool) {
	v, ok := k[key]
	return v, ok
}

func TestReadVocab(t *testing.T) {
	const p = "tokenizer.ggml."
	v, err := ReadVocab(keys{p + "model": "llama", p + "tokens": []string{"a", "b"}, p + "token_type": []uint32{1, 3}, p + "scores": []int32{-1, 2},
		p + "bos_token_id": uint32(1), p + "eos_token_id": int64(0), p + "padding_token_id": uint32(math.MaxUint32), p + "eot_token_id": uint64(math.MaxUint64),
		p + "fim_pad_token_id": uint8(1), p + "add_bos_token": false})
	if err != nil {
		t.Fatal(err)
	}
	want := Vocab{Model: "llama", Tokens: []string{"a", "b"}, Types: []int32{1, 3}, Scores: []float32{-1, 2},
		BOS: 1, EOS: 0, EOT: -1, EOM: -1, UNK: -1, PAD: -1, SEP: -1, EOGs: []int32{1}, AddBOS: new(false)}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("ReadVocab = %+v, want %+v", v, want)
	}
	for _, c := range []struct {
		name string
		keys keys
		want string
	}{
		{"nothing", keys{}, "no key tokenizer.ggml.model"},
		{"model", keys{p + "model": uint32(1)}, "key tokenizer.ggml.model holds uint32, want string"},
		{"tokens", keys{p + "model": "llama", p + "tokens": []int32{1}}, "key tokenizer.ggml.tokens holds []int32, want []string"},
		{"scores", keys{p + "model": "llama", p + "scores": "x"}, "key tokenizer.ggml.scores holds string, want []float32"},
		{"types", keys{p + "model": "llama", p + "token_type": []string{"x"}}, "key tokenizer.ggml.token_type holds []string, want []int32"},
		{"id", keys{p + "model": "llama", p + "bos_token_id": "x"}, "key tokenizer.ggml.bos_token_id holds string, want an integer"},
		{"flag", keys{p + "model": "llama", p + "add_bos_token": uint8(1)}, "key tokenizer.ggml.add_bos_token holds uint8, want bool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ReadVocab(c.keys); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestConcurrent(t *testing.T) {
	tok := fixture(t, "gpt-2")
	text := mixed(1 << 14)
	want := tok.Encode(text, Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				if got := tok.Encode(text, Options{}); !slices.Equal(got, want) {
					t.Error("ids differ from those of one goroutine")
				}
			}
		})
	}
	wg.Wait()
}
