package tokenizer

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// bare is a Vocab that states no ids.
func bare(model string, tokens ...string) Vocab {
	v := Vocab{Model: model, Tokens: tokens, BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1, PAD: -1, SEP: -1}
	if model != "llama" {
		v.Pre, v.Merges = "gpt-2", []string{}
	}
	return v
}

func with(v Vocab, change func(v *Vocab)) Vocab {
	change(&v)
	return v
}

func TestRefused(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name string
		v    Vocab
		want string
	}{
		{"no tokens", bare("gpt2"), "no tokens"},
		{"no tokens spm", bare("llama"), "no tokens"},
		{"unknown model", bare("gpt5", "a"), `unknown model "gpt5"`},
		{"wordpiece without unknown", bare("bert", "[CLS]", "a"), "without [UNK]"},
		{"unigram", bare("t5", "a"), `model "t5" is not supported yet`},
		{"unknown pre-tokenizer", with(bare("gpt2", "a"), func(v *Vocab) { v.Pre = "zorp" }), `pre-tokenizer "zorp" is not known`},
		{"short scores", with(bare("llama", "a", "b"), func(v *Vocab) { v.Scores = []float32{1} }), "1 scores for 2 tokens"},
		{"short types", with(bare("llama", "a", "b"), func(v *Vocab) { v.Types = []int32{1} }), "1 token types for 2 tokens"},
		{"score NaN", with(bare("llama", "a", "b"), func(v *Vocab) { v.Scores = []float32{0, nan} }), "score of token 1 is not a number"},
		{"no merges", with(bare("gpt2", "a"), func(v *Vocab) { v.Merges = nil }), "without merges"},
		{"merge without space", with(bare("gpt2", "a"), func(v *Vocab) { v.Merges = []string{"a b", "ab"} }), `merge 1, "ab", has no space`},
		{"empty merge", with(bare("gpt2", "a"), func(v *Vocab) { v.Merges = []string{""} }), "merge 0"},
		{"merge of a space", with(bare("gpt2", "a"), func(v *Vocab) { v.Merges = []string{" "} }), "merge 0"},
		{"10 MB token", bare("gpt2", "a", strings.Repeat("a", 10<<20)), "token 1 has 10485760 bytes, at most 65536 allowed"},
		{"10 MB merge", with(bare("gpt2", "a"), func(v *Vocab) { v.Merges = []string{"a " + strings.Repeat("a", 10<<20)} }), "merge 0 has 10485762 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := New(c.v)
			if err == nil || tok != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New = %v, %v, want an error with %q", tok, err, c.want)
			}
		})
	}
}

// TestSafe has vocabularies that are odd and yet have one safe meaning.
func TestSafe(t *testing.T) {
	for _, c := range []struct {
		name    string
		v       Vocab
		text    string
		want    []int32
		warning string // "": none
	}{
		{"empty token", bare("gpt2", "", "a"), "a", []int32{1}, "1 tokens are empty"},
		{"duplicate token", bare("gpt2", "a", "b", "a"), "a", []int32{0}, "1 tokens are there twice"},
		{"ids out of range", with(bare("gpt2", "a"), func(v *Vocab) { v.BOS, v.EOS, v.AddBOS = 7, 1<<30, new(true) }), "a", []int32{0}, "bos_token_id is 7, outside the 1 tokens"},
		{"bos wanted but not named", with(bare("gpt2", "a"), func(v *Vocab) { v.AddBOS = new(true) }), "a", []int32{0}, "wants a begin-of-text token"},
		{"no default bos 11", with(bare("gpt2", strings.Split("abcdefghijkl,mnop", "")...), func(v *Vocab) { v.Pre = "llama-bpe" }), "a", []int32{0}, "wants a begin-of-text token"},
		{"merge of unknown tokens", with(bare("gpt2", "a", "b"), func(v *Vocab) { v.Merges = []string{"x y", "a b"} }), "abxy", []int32{0, 1}, ""},
		{"merge through an unknown token", with(bare("gpt2", "a", "b", "abb"), func(v *Vocab) { v.Merges = []string{"a b", "ab b"} }), "abb", []int32{2}, ""},
		{"cyclic merges", with(bare("gpt2", "a", "aa"), func(v *Vocab) { v.Merges = []string{"a a", "aa a", "a aa", "aa aa", "a a"} }), "aaaaa", []int32{1, 0, 0, 0}, ""},
		{"merge of nothing", with(bare("gpt2", "a"), func(v *Vocab) { v.Merges = []string{"a ", "  a"} }), "aa", []int32{0, 0}, ""},
		{"invalid UTF-8 in tokens", bare("gpt2", "a", "\xff\xfe", "\xe2\x82"), "a\xff", []int32{0}, ""},
		{"invalid UTF-8 in spm tokens", bare("llama", "\xff", "a", "▁"), "a\xff", []int32{1, 2, 1, 0}, ""},
		{"types beyond the known", with(bare("gpt2", "a", "b"), func(v *Vocab) { v.Types = []int32{-5, 99} }), "ab", []int32{0, 1}, ""},
		{"longer lists", with(bare("gpt2", "a"), func(v *Vocab) { v.Types = []int32{1, 3}; v.Scores = []float32{1, 2} }), "a", []int32{0}, ""},
		{"bad byte token", with(bare("gpt2", "a", "<0xZZ>", "<"), func(v *Vocab) { v.Types = []int32{1, 6, 6} }), "a", []int32{0}, "2 byte tokens"},
		{"all control", with(bare("gpt2", "ab", "cd"), func(v *Vocab) { v.Types = []int32{3, 3} }), "abcd", nil, ""},
		{"no pre-tokenizer", with(bare("gpt2", "a"), func(v *Vocab) { v.Pre = "" }), "a", []int32{0}, "names no pre-tokenizer"},
		{"infinite scores", with(bare("llama", "<unk>", "a", "b", "ab", "▁"), func(v *Vocab) {
			v.Scores = []float32{0, float32(math.Inf(-1)), 0, float32(math.Inf(1)), float32(math.Inf(-1))}
			v.AddBOS = new(false)
		}), "ab", []int32{4, 3}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := New(c.v)
			if err != nil {
				t.Fatal(err)
			}
			got := tok.Encode(c.text, Options{})
			if !slices.Equal(got, c.want) {
				t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.want)
			}
			warnings := strings.Join(tok.Warnings(), "; ")
			if c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
			for _, id := range []int32{-1, math.MinInt32, math.MaxInt32, int32(tok.Len())} {
				if p := tok.Piece(id); p != nil {
					t.Errorf("Piece(%d) = %q, want none", id, p)
				}
				if s := tok.Decode([]int32{id}) + tok.Text(id); s != "" || tok.IsControl(id) || tok.IsEOG(id) {
					t.Errorf("id %d outside the vocabulary is %q", id, s)
				}
			}
		})
	}
}
