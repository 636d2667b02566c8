package engine

import (
	"bytes"
	"strings"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// pieces turns the bytes of tokens into text. It holds back what may be the
// start of a stop text, and the start of a character. Bytes that are no UTF-8
// become U+FFFD.
type pieces struct {
	stops   []string // not empty
	pending []byte
}

// push appends a token's bytes and returns the text that is certain. With a
// stop text it returns what is before that, and forgets the rest.
func (p *pieces) push(b []byte) (text string, stopped bool) {
	p.pending = append(p.pending, b...)
	end := -1
	for _, s := range p.stops {
		if i := bytes.Index(p.pending, []byte(s)); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end >= 0 {
		text = valid(p.pending[:end])
		p.pending = nil
		return text, true
	}
	hold := p.held()
	if hold == 0 {
		hold = tokenizer.Partial(p.pending)
	}
	text = valid(p.pending[:len(p.pending)-hold])
	p.pending = append(p.pending[:0], p.pending[len(p.pending)-hold:]...)
	return text, false
}

// flush returns what was held back.
func (p *pieces) flush() string {
	text := valid(p.pending)
	p.pending = nil
	return text
}

// held is the length of the longest end of pending that starts a stop text.
func (p *pieces) held() int {
	hold := 0
	for _, s := range p.stops {
		for n := min(len(s)-1, len(p.pending)); n > hold; n-- {
			if bytes.HasSuffix(p.pending, []byte(s[:n])) {
				hold = n
			}
		}
	}
	return hold
}

func valid(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
