package checkpoint

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
)

const vocabularies = "../../engine/tokenizer/testdata/"

// readVocab reads the vocabulary of a GGUF file, which may be compressed.
func readVocab(t *testing.T, path string) tokenizer.Vocab {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(z)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := gguf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	v, err := tokenizer.ReadVocab(f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mergesOf are the merges that transformers makes of pieces with scores:
// generate_merges of tokenization_utils_base.py.
func mergesOf(tokens []string, scores []float32) [][2]string {
	ids := map[string]int{}
	for id, text := range tokens {
		ids[text] = id
	}
	type merge struct {
		pair  [2]string
		score float32
		l, r  int // characters
	}
	var all []merge
	for id, text := range tokens {
		from := len(all)
		for i := range text {
			_, l := ids[text[:i]]
			if _, r := ids[text[i:]]; l && r && i > 0 {
				all = append(all, merge{[2]string{text[:i], text[i:]}, scores[id], utf8.RuneCountInString(text[:i]), utf8.RuneCountInString(text[i:])})
			}
		}
		slices.SortStableFunc(all[from:], func(a, b merge) int {
			return cmp.Or(cmp.Compare(ids[a.pair[0]], ids[b.pair[0]]), cmp.Compare(ids[a.pair[1]], ids[b.pair[1]]))
		})
	}
	slices.SortStableFunc(all, func(a, b merge) int {
		return -cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.l, b.l), cmp.Compare(a.r, b.r))
	})
	pairs := make([][2]string, len(all))
	for i := range all {
		pairs[i] = all[i].pair
	}
	return pairs
}

// file is the tokenizer.json of a vocabulary, with these steps.
func file(t *testing.T, v *tokenizer.Vocab, normalizer, pre any, ignoreMerges bool) []byte {
	t.Helper()
	type m = map[string]any
	vocab, merges, added := m{}, [][2]string{}, []m{}
	tokens := slices.Clone(v.Tokens)
	for id, text := range tokens {
		if v.Model == "llama" {
			text = strings.ReplaceAll(text, " ", "▁")
		}
		tokens[id] = text
		vocab[text] = id
		if v.Types != nil && (v.Types[id] == controlToken || v.Types[id] == userToken) {
			added = append(added, m{"id": id, "content": text, "special": v.Types[id] == controlToken})
		}
	}
	if v.Model == "llama" {
		scores := slices.Clone(v.Scores)
		for id := range scores {
			if v.Types[id] == userToken {
				scores[id] = 0 // as in tokenizer.model; the converter wrote -1000
			}
		}
		merges = mergesOf(tokens, scores)
	}
	for _, text := range v.Merges {
		i := 1 + strings.IndexByte(text[1:], ' ')
		merges = append(merges, [2]string{text[:i], text[i+1:]})
	}
	b, err := json.Marshal(m{"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre,
		"model": m{"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": v.Model == "llama", "ignore_merges": ignoreMerges, "unk_token": "<unk>"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRealVocabularies: vocabularies of real models, in the form of their
// tokenizer.json, give the ids that are known of their texts, of llama.cpp's
// vocabulary tests; of Gemma 3 those of its GGUF file.
func TestRealVocabularies(t *testing.T) {
	type m = map[string]any
	replace := m{"type": "Replace", "pattern": m{"String": " "}, "content": space}
	prepend := m{"type": "Sequence", "normalizers": []any{m{"type": "Prepend", "prepend": space}, replace}}
	level := m{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}
	for _, c := range []struct {
		name, pre       string
		normalizer, cut any
		ignoreMerges    bool
	}{
		{"llama-spm", "default", prepend, nil, false},
		{"phi-3", "default", prepend, nil, false},
		{"gemma-3-270m", "default", replace, m{"type": "Split", "pattern": m{"String": " "}, "behavior": "MergedWithPrevious"}, false},
		{"gpt-2", "gpt-2", nil, m{"type": "ByteLevel", "add_prefix_space": false}, false},
		{"starcoder", "smollm", nil, m{"type": "Sequence", "pretokenizers": []any{m{"type": "Digits", "individual_digits": true},
			m{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}}}, false},
		{"llama-bpe", "llama-bpe", nil, m{"type": "Sequence", "pretokenizers": []any{m{"type": "Split", "pattern": m{"Regex": cl100k}, "behavior": "Isolated"}, level}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := vocabularies + "ggml-vocab-" + c.name + ".gguf"
			gemma := strings.HasPrefix(c.name, "gemma")
			from := path + ".gz"
			if gemma {
				if testing.Short() {
					t.Skip("takes seconds")
				}
				dir := cmp.Or(os.Getenv("LLCUDA_MODELS"), "../../.models")
				from = filepath.Join(dir, "gemma-3-270m-q4_k_m.gguf")
			}
			want := readVocab(t, from)
			var f tokenizerFile
			if err := json.Unmarshal(file(t, &want, c.normalizer, c.cut, c.ignoreMerges), &f); err != nil {
				t.Fatal(err)
			}
			v, err := f.vocabulary(len(want.Tokens))
			if err != nil {
				t.Fatal(err)
			}
			if v.pre != c.pre {
				t.Errorf("pre %q, want %q", v.pre, c.pre)
			}
			for id, text := range want.Tokens {
				if v.tokens[id] != text {
					t.Fatalf("token %d is %q, want %q", id, v.tokens[id], text)
				}
			}
			got := want // BOS and the like
			got.Tokens, got.Types, got.Scores, got.Merges, got.Pre = v.tokens, v.types, v.scores, v.merges, v.pre
			tok, err := tokenizer.New(got)
			if err != nil {
				t.Fatal(err)
			}
			if gemma {
				peer, err := tokenizer.New(want)
				if err != nil {
					t.Fatal(err)
				}
				prose, err := os.ReadFile(vocabularies + "prose.txt")
				if err != nil {
					t.Fatal(err)
				}
				texts, _ := os.ReadFile(vocabularies + "ggml-vocab-llama-spm.gguf.inp")
				for _, text := range append(strings.Split(string(texts), "\n__ggml_vocab_test__\n"), string(prose),
					strings.Repeat(" ", 70)+"a"+strings.Repeat("\n", 40)+"\t\t <table> b   c ▁▁ d") {
					if a, b := tok.Encode(text, tokenizer.Options{}), peer.Encode(text, tokenizer.Options{}); !slices.Equal(a, b) {
						t.Errorf("%.60q: %v, want %v", text, a[:min(len(a), 20)], b[:min(len(b), 20)])
					}
				}
				return
			}
			texts, err := os.ReadFile(path + ".inp")
			if err != nil {
				t.Fatal(err)
			}
			lines, err := os.ReadFile(path + ".out")
			if err != nil {
				t.Fatal(err)
			}
			ids := strings.Split(string(lines), "\n")
			for i, text := range strings.Split(string(texts), "\n__ggml_vocab_test__\n") {
				var want []int32
				for _, s := range strings.Fields(ids[min(i, len(ids)-1)]) {
					n, err := strconv.Atoi(s)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, int32(n))
				}
				if got := tok.Encode(text, tokenizer.Options{NoBOS: true, NoEOS: true}); !slices.Equal(got, want) {
					t.Errorf("%q: %v, want %v", text, got, want)
				}
			}
		})
	}
}
