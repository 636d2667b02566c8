// Package tokenizer turns text into token ids and back, by the vocabulary that a GGUF file carries: SentencePiece BPE
// ("llama"), byte-level BPE ("gpt2") with every pre-tokenizer that llama.cpp knows by name, and WordPiece ("bert"). Ids equal
// llama.cpp's, or transformers' where wordpiece.go says so, with one intended difference: text never becomes a control token
// unless Options.Special says so.
package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// A Tokenizer is immutable and safe for concurrent use.
type Tokenizer struct {
	v    Vocab
	pre  pre
	spm  bool   // SentencePiece BPE; otherwise, and if not wpm, byte-level or, with pre.plain, character BPE
	wpm  bool   // WordPiece
	attr []attr // one a token

	pieces []byte   // the bytes of all tokens, one after the other
	ends   []uint32 // where the piece of each token ends

	// ids finds the token that some bytes of text make. Ids from Len() on are strings that merges build on the way to a
	// token. Control, unknown and byte tokens are not in it: text doesn't make those. They are in named, by their text.
	ids   map[string]int32
	named map[string]int32
	pairs map[pair]merge // BPE
	bytes [256]int32     // the token of a byte that belongs to no other one, -1: none
	first [256]int32     // byte-level BPE: the id in ids of each byte, -1: none

	user, special *trie           // user-defined tokens; those and control tokens
	before        map[string]bool // SPM: the characters before a ▁ inside a token
	normal        normaliser      // WordPiece
	longest       int             // WordPiece: bytes of the longest key of ids
	eog           map[int32]bool  // ids that end a generation

	addBOS, addEOS, addSpace, clean bool

	encoders sync.Pool // of *encoder
	warnings []string
}

// Options say what Encode adds and parses. The zero value is right for a plain text at the start of a context.
type Options struct {
	Special bool // take control tokens written in the text ("<|im_end|>") for themselves; never for text of a user
	// Mark keeps special tokens from being found: none is looked for across it, and it is not part of the text. Whoever
	// wants Special in some parts of a text only puts it into the others, behind what could begin a token.
	Mark  string
	NoBOS bool // leave the begin-of-text token out even when the model wants it
	NoEOS bool // likewise the end-of-text token
}

// New checks a vocabulary and builds a tokenizer from it. The error names what is wrong with the vocabulary.
// What can be taken safely in one way is taken so and told by Warnings.
func New(v Vocab) (*Tokenizer, error) {
	loadClasses()
	t := &Tokenizer{v: v}
	if err := t.checkModel(); err != nil {
		return nil, err
	}
	if err := checkLists(&t.v); err != nil {
		return nil, err
	}
	t.setAttributes()
	t.setSpecialIDs()
	if t.wpm {
		if t.v.UNK < 0 {
			return nil, errors.New("tokenizer: a WordPiece vocabulary without [UNK]; convert the model again")
		}
		t.markSpecials()
	}
	t.setEOG()
	t.setStrip()
	t.buildPieces()
	t.buildIDs()
	switch {
	case t.spm:
		t.buildBefore()
	case t.wpm:
		for text := range t.ids {
			t.longest = max(t.longest, len(text))
		}
	default:
		if err := t.buildPairs(); err != nil {
			return nil, err
		}
	}
	t.buildBytes()
	t.buildTries()
	t.v.Merges = nil // pairs has them
	t.encoders.New = func() any { return newEncoder(t) }
	return t, nil
}

// checkModel finds the kind of vocabulary and what its pre-tokenizer stands for.
func (t *Tokenizer) checkModel() (err error) {
	v := &t.v
	switch v.Model {
	case "llama":
		t.spm = true
		t.pre = pre{escape: true, addBOS: true, keepSpaces: true}
		t.addSpace = true
	case "gpt2":
		if v.Pre == "" {
			t.warn("the file names no pre-tokenizer (tokenizer.ggml.pre); the default one is used, and answers may be worse: convert the model again")
		}
		if t.pre, err = preTokenizer(v.Pre); err != nil {
			return err
		}
	case "gemma4":
		if t.pre, err = preTokenizer("gemma4"); err != nil {
			return err
		}
	case "bert":
		t.wpm = true
		t.pre = pre{escape: true}
		t.clean = true
		t.setWordPiece()
		return nil
	case "t5", "rwkv", "plamo2", "hybriddna", "whitespace":
		return fmt.Errorf("tokenizer: a vocabulary of model %q is not supported yet, only \"llama\" (SPM), \"gpt2\" (BPE) and \"bert\" (WordPiece); try another model", v.Model)
	default:
		return fmt.Errorf("tokenizer: unknown model %q (tokenizer.ggml.model), want \"llama\" (SPM), \"gpt2\" (BPE) or \"bert\" (WordPiece)", v.Model)
	}
	t.clean = !t.pre.keepSpaces
	t.addBOS = t.pre.addBOS
	if v.AddBOS != nil {
		t.addBOS = *v.AddBOS || t.pre.wholeLines // Gemma 4's files say false, and its models need it
	}
	if v.AddEOS != nil {
		t.addEOS = *v.AddEOS
	}
	if v.AddSpacePrefix != nil && t.spm {
		t.addSpace = *v.AddSpacePrefix
	}
	return nil
}

// bytewise says whether merging begins with bytes instead of characters.
func (t *Tokenizer) bytewise() bool { return !t.spm && !t.wpm && !t.pre.plain }

func (t *Tokenizer) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

// Warnings returns what New found odd in the vocabulary and how it was taken, one sentence each.
func (t *Tokenizer) Warnings() []string { return slices.Clone(t.warnings) }

// Len returns the number of tokens.
func (t *Tokenizer) Len() int { return len(t.v.Tokens) }

// has says whether id is in the vocabulary.
func (t *Tokenizer) has(id int32) bool { return id >= 0 && int(id) < len(t.v.Tokens) }

// Text returns the vocabulary's entry for id, "" outside the vocabulary.
func (t *Tokenizer) Text(id int32) string {
	if !t.has(id) {
		return ""
	}
	return t.v.Tokens[id]
}

// ID returns the id of a vocabulary entry, the first one if there are several.
func (t *Tokenizer) ID(text string) (int32, bool) {
	if id, ok := t.named[text]; ok {
		return id, true
	}
	key := text
	if t.bytewise() {
		raw, ok := fromDisguise(nil, text)
		if !ok {
			return 0, false
		}
		key = string(raw)
	}
	id, ok := t.ids[key]
	if !ok || !t.has(id) {
		return 0, false
	}
	return id, true
}

// BOS returns the begin-of-text token.
func (t *Tokenizer) BOS() (int32, bool) { return t.v.BOS, t.v.BOS >= 0 }

// EOS returns the end-of-text token.
func (t *Tokenizer) EOS() (int32, bool) { return t.v.EOS, t.v.EOS >= 0 }

// EOT returns the end-of-turn token.
func (t *Tokenizer) EOT() (int32, bool) { return t.v.EOT, t.v.EOT >= 0 }

// PAD returns the padding token.
func (t *Tokenizer) PAD() (int32, bool) { return t.v.PAD, t.v.PAD >= 0 }

// UNK returns the token for what the vocabulary cannot say.
func (t *Tokenizer) UNK() (int32, bool) { return t.v.UNK, t.v.UNK >= 0 }

// AddsBOS says whether Encode begins with BOS unless told otherwise.
func (t *Tokenizer) AddsBOS() bool { return t.addBOS }

// AddsEOS says whether Encode ends with EOS unless told otherwise.
func (t *Tokenizer) AddsEOS() bool { return t.addEOS }

// IsEOG says whether id ends a generation: end of text, of turn or of message.
func (t *Tokenizer) IsEOG(id int32) bool { return t.eog[id] }

// IsControl says whether id is a control token, which text never produces and Decode never shows.
func (t *Tokenizer) IsControl(id int32) bool { return t.has(id) && t.attr[id]&control != 0 }

// IsUserDefined says whether id is a token that is cut out of every text before anything else.
func (t *Tokenizer) IsUserDefined(id int32) bool { return t.has(id) && t.attr[id]&userDefined != 0 }
