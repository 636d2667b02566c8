package tokenizer

import (
	"fmt"
	"strings"
)

// A pair is left id << 32 | right id.
type pair uint64

// A merge is what a pair becomes, and when: the lowest rank first.
type merge struct {
	rank uint32
	id   int32
}

const never = ^uint32(0) // the rank of pairs that don't merge

// buildIDs indexes the tokens that text can make by the bytes of that text; the others by their entry.
func (t *Tokenizer) buildIDs() {
	t.ids = make(map[string]int32, t.Len()+len(t.v.Merges)/8)
	t.named = map[string]int32{}
	pieces := string(t.pieces) // one string for all keys
	var raw []byte
	empty, double := 0, 0
	for i, text := range t.v.Tokens {
		if text == "" {
			empty++
			continue
		}
		index, key := t.ids, text
		if a := t.attr[i]; a&(control|unknown|byteToken) != 0 {
			index = t.named
		} else if t.bytewise() {
			var ok bool
			switch raw, ok = fromDisguise(raw[:0], text); {
			case !ok:
				index = t.named
			case a&userDefined != 0:
				key = string(raw)
			default:
				key = pieces[int(t.ends[i])-len(raw) : t.ends[i]]
			}
		}
		if _, ok := index[key]; ok {
			double++ // the first one is meant: later ones are padding
			continue
		}
		index[key] = int32(i)
	}
	if empty > 0 {
		t.warn("%d tokens are empty; no text makes them", empty)
	}
	if double > 0 {
		t.warn("%d tokens are there twice; the first of each is used", double)
	}
}

// buildPairs turns merges into pairs of ids. A merge may name strings that are no tokens: they get ids from Len() on, so
// that merges go on through them as in llama.cpp; only where one of them is left at the end, its bytes are written instead.
func (t *Tokenizer) buildPairs() error {
	t.pairs = make(map[pair]merge, len(t.v.Merges))
	next := int32(t.Len())
	intern := func(b []byte) int32 {
		id, ok := t.ids[string(b)]
		if !ok {
			id = next
			next++
			t.ids[string(b)] = id
		}
		return id
	}
	var both []byte
	for rank, text := range t.v.Merges {
		if len(text) > 2*maxTokenBytes {
			return fmt.Errorf("tokenizer: merge %d has %d bytes, at most %d allowed", rank, len(text), 2*maxTokenBytes)
		}
		space := -1
		if len(text) > 1 {
			space = 1 + strings.IndexByte(text[1:], ' ') // the left side may begin with one
		}
		if space < 1 {
			return fmt.Errorf("tokenizer: merge %d, %.40q, has no space between its two sides; convert the model again", rank, text)
		}
		both = both[:0]
		ok := true
		left := 0
		if t.pre.plain {
			both = append(append(both, text[:space]...), text[space+1:]...)
			left = space
		} else {
			if both, ok = fromDisguise(both, text[:space]); ok {
				left = len(both)
				both, ok = fromDisguise(both, text[space+1:])
			}
		}
		if !ok || left == 0 || left == len(both) {
			continue // no bytes look like this, so nothing ever merges so
		}
		if _, ok := t.ids[string(both)]; !ok {
			if _, ok := t.named[text[:space]+text[space+1:]]; ok {
				continue // text makes no control token
			}
		}
		key := pair(intern(both[:left]))<<32 | pair(intern(both[left:]))
		if _, ok := t.pairs[key]; !ok {
			t.pairs[key] = merge{uint32(rank), intern(both)}
		}
	}
	return nil
}

// buildBytes finds the token for each byte that is left over, and what merging begins with.
func (t *Tokenizer) buildBytes() {
	for b := range t.bytes {
		t.bytes[b], t.first[b] = -1, -1
		text := string([]byte{byte(b)})
		if id, ok := t.ids[text]; ok {
			t.first[b] = id
		}
		if t.spm || t.pre.plain {
			if id, ok := t.ID(fmt.Sprintf("<0x%02X>", b)); ok {
				t.bytes[b] = id
				continue
			}
		}
		if id, ok := t.ids[text]; ok && t.has(id) {
			t.bytes[b] = id
		}
	}
}

// buildBefore collects the characters that come before a ▁ inside a token. Where the text has another character before a
// ▁, no merge crosses, and the text can be cut there: that makes words of it.
func (t *Tokenizer) buildBefore() {
	t.before = map[string]bool{}
	for text := range t.ids {
		if !strings.Contains(text[1:], "▁") {
			continue
		}
		last := 0
		for i := 0; i < len(text); {
			if i > 0 && strings.HasPrefix(text[i:], "▁") {
				t.before[text[last:i]] = true
			}
			last = i
			i = min(i+width(text[i]), len(text))
		}
	}
}
