package tokenizer

import (
	"errors"
	"fmt"
	"math"
)

// A Vocab is a vocabulary as a model file states it. New checks it; until then nothing in it is trusted.
type Vocab struct {
	Model string // tokenizer.ggml.model: "llama" (SPM), "gpt2" (byte-level BPE), "gemma4" (BPE on characters) or "bert" (WordPiece)
	Pre   string // tokenizer.ggml.pre: the name of the pre-tokenizer (BPE only)
	Name  string // general.name: a few models need quirks that no other key states (Phi-3)

	Tokens []string
	Scores []float32 // nil, or one a token (SPM: the higher, the sooner merged)
	Types  []int32   // nil (all normal), or one a token: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
	Merges []string  // BPE: "left right", the most important first

	BOS, EOS, EOT, EOM, UNK, PAD, SEP int32   // -1: not stated
	EOGs                              []int32 // further ids that end a generation (the fim_pad, fim_rep, fim_sep and eog_token_ids keys)

	AddBOS, AddEOS, AddSpacePrefix  *bool   // nil: the default of the model and pre-tokenizer
	SpacePrefix                     string  // SPM: where a space is added before a text; see the keys of llcuda's own
	NFC                             bool    // BPE: texts are put in normal form C first
	LStrip, RStrip                  []int32 // tokens that swallow white space before or after them; nil: a guess by Name
	AddSEP, Lowercase, StripAccents *bool   // WordPiece: a [SEP] at the end; what is done with a text first. nil: as BERT does
	// RemoveExtraWhitespaces is kept for unigram models; SPM and BPE files are encoded as llama.cpp does, which ignores it.
	RemoveExtraWhitespaces bool
}

// A Source is metadata by GGUF key, such as a *gguf.File: arrays come as slices, integers and floats in their own width.
type Source interface {
	Value(key string) (any, bool)
}

// Read makes the tokenizer of a model file.
func Read(src Source) (*Tokenizer, error) {
	v, err := ReadVocab(src)
	if err != nil {
		return nil, err
	}
	return New(v)
}

// ReadVocab collects the tokenizer.ggml.* keys of a model file. Slices are taken over, not copied.
// A key of the wrong type is an error, a missing one is not: New knows which it needs.
//
// Some keys are llcuda's own, for what tokenizers of transformers do and no other key says:
//
//	eog_token_ids       further tokens that end a generation
//	normalizer.nfc      texts are put in normal form C (Qwen)
//	space_prefix        where add_space_prefix adds a space to a text that begins with none: "first" only at the very
//	                    beginning, "always" behind tokens, too; absent: behind tokens, too, and to every text
//	lstrip_token_ids, rstrip_token_ids   tokens that swallow white space before or after them
func ReadVocab(src Source) (Vocab, error) {
	r := reader{src: src}
	const p = "tokenizer.ggml."
	v := Vocab{
		Model:  get[string](&r, p+"model"),
		Pre:    get[string](&r, p+"pre"),
		Name:   get[string](&r, "general.name"),
		Tokens: get[[]string](&r, p+"tokens"),
		Merges: get[[]string](&r, p+"merges"),
		Scores: r.floats(p + "scores"),
		Types:  r.ints(p + "token_type"),

		BOS: r.id(p + "bos_token_id"),
		EOS: r.id(p + "eos_token_id"),
		EOT: r.id(p + "eot_token_id"),
		EOM: r.id(p + "eom_token_id"),
		UNK: r.id(p + "unknown_token_id"),
		PAD: r.id(p + "padding_token_id"),
		SEP: r.id(p + "seperator_token_id"), // sic: the key is spelt so in every file

		AddBOS:         r.flag(p + "add_bos_token"),
		AddEOS:         r.flag(p + "add_eos_token"),
		AddSpacePrefix: r.flag(p + "add_space_prefix"),

		SpacePrefix: get[string](&r, p+"space_prefix"),
		NFC:         get[bool](&r, p+"normalizer.nfc"),
		LStrip:      r.ints(p + "lstrip_token_ids"),
		RStrip:      r.ints(p + "rstrip_token_ids"),

		AddSEP:       r.flag(p + "add_sep_token"),
		Lowercase:    r.flag(p + "normalizer.lowercase"),
		StripAccents: r.flag(p + "normalizer.strip_accents"),

		RemoveExtraWhitespaces: get[bool](&r, p+"remove_extra_whitespaces"),
	}
	if v.Model == "bert" && v.BOS < 0 {
		v.BOS = r.id(p + "cls_token_id")
	}
	for _, key := range []string{"fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"} {
		if id := r.id(p + key); id >= 0 {
			v.EOGs = append(v.EOGs, id)
		}
	}
	v.EOGs = append(v.EOGs, r.ints(p+"eog_token_ids")...)
	if r.err != nil {
		return Vocab{}, r.err
	}
	if v.Model == "" {
		return Vocab{}, errors.New("tokenizer: the file has no key tokenizer.ggml.model, so no vocabulary; text can't be encoded with it")
	}
	return v, nil
}

// A reader remembers the first key of a wrong type.
type reader struct {
	src Source
	err error
}

func (r *reader) wrong(key string, got any, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("tokenizer: key %s holds %T, want %s", key, got, want)
	}
}

// get returns the value of key, or a zero T when the key is absent.
func get[T any](r *reader, key string) T {
	var zero T
	v, ok := r.src.Value(key)
	if !ok {
		return zero
	}
	t, ok := v.(T)
	if !ok {
		r.wrong(key, v, fmt.Sprintf("%T", zero))
	}
	return t
}

func (r *reader) flag(key string) *bool {
	if _, ok := r.src.Value(key); !ok {
		return nil
	}
	b := get[bool](r, key)
	return &b
}

// id reads a token id of any integer type. What fits no int32 (converters write -1 as 4294967295) is "not stated".
func (r *reader) id(key string) int32 {
	v, ok := r.src.Value(key)
	if !ok {
		return -1
	}
	var n int64
	switch v := v.(type) {
	case uint8:
		n = int64(v)
	case uint16:
		n = int64(v)
	case uint32:
		n = int64(v)
	case uint64:
		n = int64(min(v, math.MaxInt64))
	case int8:
		n = int64(v)
	case int16:
		n = int64(v)
	case int32:
		n = int64(v)
	case int64:
		n = v
	default:
		r.wrong(key, v, "an integer")
	}
	if n < 0 || n > math.MaxInt32 {
		return -1
	}
	return int32(n)
}

func (r *reader) ints(key string) []int32 {
	v, _ := r.src.Value(key)
	switch v := v.(type) {
	case nil:
	case []int32:
		return v
	case []uint32:
		return convert[int32](v)
	case []int64:
		return convert[int32](v)
	case []uint8:
		return convert[int32](v)
	case []int8:
		return convert[int32](v)
	default:
		r.wrong(key, v, "[]int32")
	}
	return nil
}

func (r *reader) floats(key string) []float32 {
	v, _ := r.src.Value(key)
	switch v := v.(type) {
	case nil:
	case []float32:
		return v
	case []float64:
		return convert[float32](v)
	case []int32:
		return convert[float32](v)
	default:
		r.wrong(key, v, "[]float32")
	}
	return nil
}

func convert[T, S int8 | uint8 | int32 | uint32 | int64 | float32 | float64](s []S) []T {
	t := make([]T, len(s))
	for i := range s {
		t[i] = T(s[i])
	}
	return t
}
