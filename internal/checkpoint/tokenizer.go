package checkpoint

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Kinds of tokens, tokenizer.ggml.token_type.
const (
	normalToken  = 1
	unknownToken = 2
	controlToken = 3
	userToken    = 4
	unusedToken  = 5
	byteToken    = 6
)

// A vocabulary is what becomes the keys tokenizer.ggml.*.
type vocabulary struct {
	model, pre string
	tokens     []string
	types      []int32
	scores     []float32 // model llama
	merges     []string  // model gpt2
	ids        map[string]int

	addBOS, addEOS *bool
	prefix         string // where texts get a blank, model llama: "" nowhere, "prepend" to all; "first", "always" as Metaspace does
	blanks         int    // added tokens that are runs of ▁
	nfc            bool
	lstrip, rstrip []int32
}

// A tokenizerFile is tokenizer.json, the format of the tokenizers library:
// https://github.com/huggingface/tokenizers/tree/main/tokenizers/src.
type tokenizerFile struct {
	AddedTokens   []addedToken   `json:"added_tokens"`
	Normalizer    *step          `json:"normalizer"`
	PreTokenizer  *step          `json:"pre_tokenizer"`
	PostProcessor *step          `json:"post_processor"`
	Model         tokenizerModel `json:"model"`
}

type tokenizerModel struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
	Unknown      *string         `json:"unk_token"`
	Prefix       string          `json:"continuing_subword_prefix"`
	Suffix       string          `json:"end_of_word_suffix"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	Dropout      *float64        `json:"dropout"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// A step is a normaliser, pre-tokenizer or post-processor; which fields it has
// depends on Type.
type step struct {
	Type          string `json:"type"`
	Normalizers   []step `json:"normalizers"`
	PreTokenizers []step `json:"pretokenizers"`
	Processors    []step `json:"processors"`

	Pattern struct {
		String *string `json:"String"`
		Regex  *string `json:"Regex"`
	} `json:"pattern"`
	Content        string `json:"content"`
	Prepend        string `json:"prepend"`
	Behavior       string `json:"behavior"`
	Invert         bool   `json:"invert"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	UseRegex       *bool  `json:"use_regex"`
	Individual     bool   `json:"individual_digits"`
	Replacement    string `json:"replacement"`
	Scheme         string `json:"prepend_scheme"`
	Split          *bool  `json:"split"`

	Single []templatePiece `json:"single"`
}

type templatePiece struct {
	Special *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

// flat lists the steps of a sequence of sequences.
func (s *step) flat() []step {
	switch {
	case s == nil:
		return nil
	case s.Type != "Sequence":
		return []step{*s}
	}
	var all []step
	for _, list := range [][]step{s.Normalizers, s.PreTokenizers, s.Processors} {
		for i := range list {
			all = append(all, list[i].flat()...)
		}
	}
	return all
}

// is reports whether a pattern is this text.
func (s *step) is(text string) bool { return s.Pattern.String != nil && *s.Pattern.String == text }

// vocabulary adds the tokenizer's keys.
func (m *model) vocabulary() {
	if m.err != nil {
		return
	}
	v, f, err := m.tokenizer()
	if err != nil {
		m.fail(err)
		return
	}
	config, err := m.read("tokenizer_config.json", maxTokenizer, false)
	if err != nil {
		m.fail(err)
		return
	}
	m.add("tokenizer.ggml.model", v.model)
	m.add("tokenizer.ggml.pre", v.pre)
	m.add("tokenizer.ggml.tokens", v.tokens)
	if v.scores != nil {
		m.add("tokenizer.ggml.scores", v.scores)
	}
	m.add("tokenizer.ggml.token_type", v.types)
	if v.model == "gpt2" {
		m.add("tokenizer.ggml.merges", v.merges)
	}
	m.specials(v, f, config)
	m.templates(config)
	if m.err == nil && config != nil {
		m.err = *config.err
	}
}

// tokenizer reads the vocabulary, of tokenizer.json, or without it of
// tokenizer.model; then the file is nil.
func (m *model) tokenizer() (*vocabulary, *tokenizerFile, error) {
	b, err := m.bytes("tokenizer.json", maxTokenizer)
	if err != nil {
		return nil, nil, err
	}
	if b == nil {
		v, err := m.sentencePiece()
		return v, nil, err
	}
	var f tokenizerFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	v, err := f.vocabulary(m.vocab)
	if err != nil {
		return nil, nil, err
	}
	return v, &f, nil
}

// noTokenizer is the refusal of what the engine's tokenizers do not do.
func noTokenizer(format string, args ...any) error {
	return refuse("its token ids would differ, so it is not loaded; "+nextConvert+", if there is one", "tokenizer.json: "+format, args...)
}

// vocabulary reads the model and its steps, for so many rows of the embedding.
func (f *tokenizerFile) vocabulary(rows int) (*vocabulary, error) {
	t := &f.Model
	switch {
	case t.Type == "" && t.Merges == nil, t.Type != "" && t.Type != "BPE":
		return nil, noTokenizer("a tokenizer of type %.40q is not supported, only BPE", t.Type)
	case t.Prefix != "" || t.Suffix != "":
		return nil, noTokenizer("prefixes or suffixes of words (%.40q, %.40q) are not supported", t.Prefix, t.Suffix)
	}
	v, err := f.tokens(rows)
	if err != nil {
		return nil, err
	}
	merges, err := t.pairs()
	if err != nil {
		return nil, err
	}
	for _, s := range f.PreTokenizer.flat() {
		if s.Type == "ByteLevel" {
			return v, v.byteLevel(f, merges)
		}
	}
	return v, v.metaspace(f, merges)
}

// tokens lists the tokens by their ids, and what is left of the rows as unused.
func (f *tokenizerFile) tokens(rows int) (*vocabulary, error) {
	var vocab map[string]int
	if err := json.Unmarshal(f.Model.Vocab, &vocab); err != nil {
		return nil, fmt.Errorf("tokenizer.json: vocab: %w", err)
	}
	v := &vocabulary{tokens: make([]string, rows), types: make([]int32, rows), ids: vocab}
	put := func(text string, id int, kind int32) error {
		if id < 0 || id >= rows {
			return fmt.Errorf("tokenizer.json: token %.100q has id %d, but the embedding has %d rows", text, id, rows)
		}
		if old := v.tokens[id]; v.types[id] != 0 && old != text {
			return fmt.Errorf("tokenizer.json: %.100q and %.100q have the same id %d", old, text, id)
		}
		v.tokens[id], v.types[id] = text, kind
		return nil
	}
	for text, id := range vocab {
		if err := put(text, id, normalToken); err != nil {
			return nil, err
		}
	}
	for _, a := range f.AddedTokens {
		if a.SingleWord {
			return nil, noTokenizer("token %.100q, which is found as a whole word only (single_word), is not supported", a.Content)
		}
		if id, ok := vocab[a.Content]; ok && id != a.ID {
			return nil, fmt.Errorf("tokenizer.json: token %.100q has the ids %d and %d", a.Content, id, a.ID)
		}
		kind := int32(userToken)
		if a.Special || looksSpecial(a.Content) {
			kind = controlToken
		}
		if err := put(a.Content, a.ID, kind); err != nil {
			return nil, err
		}
		if a.LStrip {
			v.lstrip = append(v.lstrip, int32(a.ID))
		}
		if a.RStrip {
			v.rstrip = append(v.rstrip, int32(a.ID))
		}
	}
	v.pad()
	return v, nil
}

// pad names the rows without a token, as the converter does.
func (v *vocabulary) pad() {
	for id := range v.tokens {
		if v.types[id] == 0 {
			v.tokens[id], v.types[id] = fmt.Sprintf("[PAD%d]", id), unusedToken
		}
	}
}

// looksSpecial is what the converter takes for a control token although it is
// not marked as one.
func looksSpecial(text string) bool {
	between := func(a, b string) bool { return strings.HasPrefix(text, a) && strings.HasSuffix(text, b) }
	return text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]" ||
		between("<|", "|>") || between("<｜", "｜>") || between("<unused", ">")
}

// pairs reads the merges, of either form: "a b", or ["a", "b"] since
// tokenizers 0.20.
func (t *tokenizerModel) pairs() ([][2]string, error) {
	var pairs [][2]string
	if json.Unmarshal(t.Merges, &pairs) == nil {
		return pairs, nil
	}
	var texts []string
	if err := json.Unmarshal(t.Merges, &texts); err != nil {
		return nil, fmt.Errorf("tokenizer.json: merges: %w", err)
	}
	pairs = make([][2]string, len(texts))
	for i, s := range texts {
		a, b, ok := strings.Cut(s, " ")
		if !ok || strings.Contains(b, " ") {
			return nil, fmt.Errorf("tokenizer.json: merge %d, %.100q, is not two pieces", i, s)
		}
		pairs[i] = [2]string{a, b}
	}
	return pairs, nil
}
