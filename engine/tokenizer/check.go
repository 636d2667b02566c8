package tokenizer

import (
	"fmt"
	"math"
)

// The longest token accepted, in bytes. Real ones stay below 1,000; matching costs time by the longest.
const maxTokenBytes = 1 << 16

// checkLists refuses lists that contradict each other. An empty Types or Scores is as good as none.
func checkLists(v *Vocab) error {
	n := len(v.Tokens)
	switch {
	case n == 0:
		return fmt.Errorf("tokenizer: the vocabulary has no tokens (tokenizer.ggml.tokens); the file can't be used for text")
	case n > math.MaxInt32:
		return fmt.Errorf("tokenizer: %d tokens, at most %d allowed", n, math.MaxInt32)
	case len(v.Scores) > 0 && len(v.Scores) < n:
		return fmt.Errorf("tokenizer: %d scores for %d tokens; convert the model again", len(v.Scores), n)
	case len(v.Types) > 0 && len(v.Types) < n:
		return fmt.Errorf("tokenizer: %d token types for %d tokens; convert the model again", len(v.Types), n)
	case v.Model != "llama" && v.Model != "bert" && v.Merges == nil && v.Pre != "kimi-k2":
		return fmt.Errorf("tokenizer: a BPE vocabulary without merges (tokenizer.ggml.merges); convert the model again")
	}
	if p := v.SpacePrefix; p != "" && p != "first" && p != "always" {
		return fmt.Errorf("tokenizer: tokenizer.ggml.space_prefix is %.40q, want first or always", p)
	}
	total := 0
	for i, text := range v.Tokens {
		if len(text) > maxTokenBytes {
			return fmt.Errorf("tokenizer: token %d has %d bytes, at most %d allowed", i, len(text), maxTokenBytes)
		}
		total += len(text)
	}
	if total > math.MaxInt32 {
		return fmt.Errorf("tokenizer: %d bytes of tokens, at most %d allowed", total, math.MaxInt32)
	}
	for i, score := range v.Scores[:min(n, len(v.Scores))] {
		if score != score {
			return fmt.Errorf("tokenizer: the score of token %d is not a number", i)
		}
	}
	return nil
}

// setSpecialIDs fills in the ids that a model has without saying so, and drops those outside the vocabulary.
// A gpt2 file that states no BOS has none: llama.cpp takes 11, a comma in most vocabularies.
func (t *Tokenizer) setSpecialIDs() {
	v := &t.v
	defaults := map[*int32]int32{}
	if t.spm {
		defaults = map[*int32]int32{&v.UNK: 0, &v.BOS: 1, &v.EOS: 2}
	}
	if t.wpm {
		byText := t.find([]string{"[CLS]", "[SEP]", "[UNK]", "[PAD]"})
		for text, field := range map[string]*int32{"[CLS]": &v.BOS, "[SEP]": &v.SEP, "[UNK]": &v.UNK, "[PAD]": &v.PAD} {
			if id, ok := byText[text]; ok {
				defaults[field] = id
			}
		}
	}
	for _, f := range []struct {
		name string
		id   *int32
	}{{"bos", &v.BOS}, {"eos", &v.EOS}, {"eot", &v.EOT}, {"eom", &v.EOM}, {"unknown", &v.UNK}, {"padding", &v.PAD}, {"seperator", &v.SEP}} {
		id, ok := defaults[f.id]
		if !ok || !t.has(id) {
			id = -1
		}
		if *f.id >= 0 && !t.has(*f.id) {
			t.warn("tokenizer.ggml.%s_token_id is %d, outside the %d tokens; it is left out", f.name, *f.id, t.Len())
		}
		if !t.has(*f.id) {
			*f.id = id
		}
	}
	if t.wpm {
		v.EOS = v.SEP // what ends a text
	}
	if t.addBOS && v.BOS < 0 {
		t.addBOS = false
		t.warn("the model wants a begin-of-text token but names none; none is added")
	}
	if t.addEOS && v.EOS < 0 {
		t.addEOS = false
		t.warn("the model wants an end-of-text token but names none; none is added")
	}
}
