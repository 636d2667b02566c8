package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// sentencePiece reads tokenizer.model, which older checkpoints have instead of
// tokenizer.json, and the tokens that were added to it.
func (m *model) sentencePiece() (*vocabulary, error) {
	b, err := m.bytes("tokenizer.model", maxTokenizer)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, refuse("save the tokenizer into the folder, too (tokenizer.save_pretrained)", "has neither tokenizer.json nor tokenizer.model")
	}
	p, err := parsePieces(b)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w", err)
	}
	v, err := p.vocabulary(m.vocab)
	if err != nil {
		return nil, err
	}
	config, err := m.read("tokenizer_config.json", maxTokenizer, false)
	if err == nil {
		err = m.addTokens(v, config)
	}
	if err != nil {
		return nil, err
	}
	if v.prefix != "" && !config.bool("legacy", true) {
		v.prefix = "first"
	}
	v.pad()
	return v, nil
}

// vocabulary checks that the engine's SPM does what the model asks for.
func (p *pieces) vocabulary(rows int) (*vocabulary, error) {
	const next = "save the tokenizer with tokenizers of transformers (tokenizer.json)"
	switch {
	case p.kind != bpeModel:
		return nil, refuse(next, "tokenizer.model: a model of type %d is not supported, only BPE (%d)", p.kind, bpeModel)
	case p.charsMap > 0 || p.removeExtraWhitespaces:
		return nil, refuse(next, "tokenizer.model: texts are normalised before they are cut, which is not supported")
	case p.whitespaceAsSuffix || !p.escapeWhitespaces:
		return nil, refuse(next, "tokenizer.model: blanks become something else than a ▁ before a word, which is not supported")
	case len(p.text) > rows:
		return nil, fmt.Errorf("tokenizer.model: %d pieces, but the embedding has %d rows", len(p.text), rows)
	}
	v := &vocabulary{model: "llama", pre: "default", tokens: make([]string, rows), types: make([]int32, rows), scores: make([]float32, rows), ids: map[string]int{}}
	copy(v.tokens, p.text)
	copy(v.types, p.types)
	copy(v.scores, p.scores)
	for id := len(p.text); id < rows; id++ {
		v.scores[id] = -10000
	}
	if p.dummyPrefix {
		v.prefix = "prepend"
	}
	for id, text := range p.text {
		if v.types[id] == userToken {
			v.tokens[id] = strings.ReplaceAll(text, space, " ")
		}
		v.ids[text] = id
	}
	return v, nil
}

// addTokens adds the tokens of added_tokens.json and tokenizer_config.json.
func (m *model) addTokens(v *vocabulary, config *object) error {
	add := func(text string, id float64, special bool) error {
		if id < 0 || id >= float64(len(v.tokens)) || id != math.Trunc(id) {
			return fmt.Errorf("token %.100q has id %g, but the embedding has %d rows", text, id, len(v.tokens))
		}
		kind := int32(userToken)
		if special || looksSpecial(text) {
			kind = controlToken
		}
		v.tokens[int(id)], v.types[int(id)], v.scores[int(id)], v.ids[text] = text, kind, -1000, int(id)
		return nil
	}
	o, err := m.read("added_tokens.json", maxConfig, false)
	if err != nil {
		return err
	}
	if o != nil {
		for text, x := range o.fields {
			id, ok := number(x)
			if !ok {
				id = -1
			}
			if err := add(text, id, false); err != nil {
				return fmt.Errorf("added_tokens.json: %w", err)
			}
		}
	}
	if config == nil {
		return nil
	}
	added := config.object("added_tokens_decoder")
	if added == nil {
		return *config.err
	}
	for key := range added.fields {
		t := added.object(key)
		if t == nil {
			return *config.err
		}
		var id int
		if _, err := fmt.Sscanf(key, "%d", &id); err != nil {
			id = -1
		}
		text := t.text("content", "")
		if err := add(text, float64(id), t.bool("special", false)); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
		if t.bool("single_word", false) {
			return noTokenizer("token %.100q, which is found as a whole word only (single_word), is not supported", text)
		}
		if t.bool("lstrip", false) {
			v.lstrip = append(v.lstrip, int32(id))
		}
		if t.bool("rstrip", false) {
			v.rstrip = append(v.rstrip, int32(id))
		}
	}
	return *config.err
}

const bpeModel = 2

// pieces is what of a sentencepiece model counts here:
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto.
type pieces struct {
	text   []string
	scores []float32
	types  []int32 // as GGUF's

	kind               int // of the trainer: 1 unigram, 2 BPE
	whitespaceAsSuffix bool

	dummyPrefix, removeExtraWhitespaces, escapeWhitespaces bool
	charsMap                                               int // bytes
}

func parsePieces(b []byte) (*pieces, error) {
	p := &pieces{kind: 1, dummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true}
	err := fields(b, func(f field) error {
		switch f.number {
		case 1:
			return p.piece(f.bytes)
		case 2:
			return fields(f.bytes, p.trainer)
		case 3:
			return fields(f.bytes, p.normalizer)
		}
		return nil
	})
	if err == nil && len(p.text) == 0 {
		err = errors.New("has no pieces")
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *pieces) piece(b []byte) error {
	text, score, kind := "", float32(0), int32(normalToken)
	err := fields(b, func(f field) error {
		switch f.number {
		case 1:
			text = string(f.bytes)
		case 2:
			score = math.Float32frombits(uint32(f.value))
		case 3:
			kind = int32(f.value)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case text == "" || !utf8.ValidString(text):
		return fmt.Errorf("piece %d is %.100q, no text", len(p.text), text)
	case score != score:
		return fmt.Errorf("piece %d, %.100q, has a score that is no number", len(p.text), text)
	case kind < normalToken || kind > byteToken:
		return fmt.Errorf("piece %d, %.100q, has the unknown type %d", len(p.text), text, kind)
	}
	p.text, p.scores, p.types = append(p.text, text), append(p.scores, score), append(p.types, kind)
	return nil
}

func (p *pieces) trainer(f field) error {
	switch f.number {
	case 3:
		p.kind = int(min(f.value, math.MaxInt32))
	case 24:
		p.whitespaceAsSuffix = f.value != 0
	}
	return nil
}

func (p *pieces) normalizer(f field) error {
	switch f.number {
	case 2:
		p.charsMap = len(f.bytes)
	case 3:
		p.dummyPrefix = f.value != 0
	case 4:
		p.removeExtraWhitespaces = f.value != 0
	case 5:
		p.escapeWhitespaces = f.value != 0
	}
	return nil
}

// A field is one of a message of protocol buffers: a number, or bytes.
// https://protobuf.dev/programming-guides/encoding/
type field struct {
	number uint64
	value  uint64
	bytes  []byte
}

func fields(b []byte, each func(field) error) error {
	cut := errors.New("ends in the middle of a field")
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return cut
		}
		b = b[n:]
		f := field{number: tag >> 3}
		switch tag & 7 {
		case 0:
			if f.value, n = binary.Uvarint(b); n <= 0 {
				return cut
			}
		case 1:
			if n = 8; len(b) >= n {
				f.value = binary.LittleEndian.Uint64(b)
			}
		case 2:
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return cut
			}
			n = k + int(size)
			f.bytes = b[k:n]
		case 5:
			if n = 4; len(b) >= n {
				f.value = uint64(binary.LittleEndian.Uint32(b))
			}
		default:
			return fmt.Errorf("field %d has the unknown wire type %d", f.number, tag&7)
		}
		if n > len(b) {
			return cut
		}
		b = b[n:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}
