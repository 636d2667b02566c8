// Package tokenizer turns text into token ids and back, by the vocabulary that a GGUF file carries: SentencePiece BPE
// ("llama") and byte-level BPE ("gpt2"), with every pre-tokenizer that llama.cpp knows by name. Ids equal llama.cpp's.
package tokenizer

// A Tokenizer is immutable and safe for concurrent use.
type Tokenizer struct {
	v Vocab
}

// Options say what Encode adds and parses. The zero value is right for a plain text at the start of a context.
type Options struct {
	Special bool // take control tokens written in the text ("<|im_end|>") for themselves; never for text of a user
	NoBOS   bool // leave the begin-of-text token out even when the model wants it
	NoEOS   bool // likewise the end-of-text token
}

// DecodeOptions say how DecodeWith renders ids. The zero value is Decode.
type DecodeOptions struct {
	Special bool // write control tokens as their text instead of nothing
	Clean   bool // drop spaces before punctuation where the vocabulary asks for it, as llama.cpp's detokenize does
}

// New checks a vocabulary and builds a tokenizer from it. The error names what is wrong with the vocabulary.
func New(v Vocab) (*Tokenizer, error) { return &Tokenizer{v: v}, nil }

// Encode returns the ids of text, with BOS and EOS where the model wants them. Text that isn't UTF-8 is taken as llama.cpp does.
func (t *Tokenizer) Encode(text string, o Options) []int32 { panic("not written yet") }

// Decode returns the text of ids: Decode(Encode(x)) is x. Control tokens give nothing.
func (t *Tokenizer) Decode(ids []int32) string { return t.DecodeWith(ids, DecodeOptions{}) }

// DecodeWith is Decode with options.
func (t *Tokenizer) DecodeWith(ids []int32, o DecodeOptions) string { panic("not written yet") }

// Piece returns the bytes of one token, maybe a part of a rune; the caller must not change them. Control tokens
// and ids outside the vocabulary give none. Streams are made of pieces.
func (t *Tokenizer) Piece(id int32) []byte { panic("not written yet") }

// Len returns the number of tokens.
func (t *Tokenizer) Len() int { return len(t.v.Tokens) }

// Text returns the vocabulary's entry for id, "" outside the vocabulary.
func (t *Tokenizer) Text(id int32) string { panic("not written yet") }

// ID returns the id of a vocabulary entry.
func (t *Tokenizer) ID(text string) (int32, bool) { panic("not written yet") }

// BOS returns the begin-of-text token.
func (t *Tokenizer) BOS() (int32, bool) { panic("not written yet") }

// EOS returns the end-of-text token.
func (t *Tokenizer) EOS() (int32, bool) { panic("not written yet") }

// EOT returns the end-of-turn token.
func (t *Tokenizer) EOT() (int32, bool) { panic("not written yet") }

// PAD returns the padding token.
func (t *Tokenizer) PAD() (int32, bool) { panic("not written yet") }

// UNK returns the token for what the vocabulary cannot say.
func (t *Tokenizer) UNK() (int32, bool) { panic("not written yet") }

// AddsBOS says whether Encode begins with BOS unless told otherwise.
func (t *Tokenizer) AddsBOS() bool { panic("not written yet") }

// AddsEOS says whether Encode ends with EOS unless told otherwise.
func (t *Tokenizer) AddsEOS() bool { panic("not written yet") }

// IsEOG says whether id ends a generation: end of text, of turn or of message.
func (t *Tokenizer) IsEOG(id int32) bool { panic("not written yet") }

// IsControl says whether id is a control token, which text never produces and Decode never shows.
func (t *Tokenizer) IsControl(id int32) bool { panic("not written yet") }

// Warnings returns what New found odd in the vocabulary and how it was taken, one sentence each.
func (t *Tokenizer) Warnings() []string { panic("not written yet") }
