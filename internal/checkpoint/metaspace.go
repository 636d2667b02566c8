package checkpoint

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const space = "▁" // what blanks become

// metaspace makes v a vocabulary of SentencePiece: BPE on characters, with
// blanks as ▁ and bytes for what has no token.
func (v *vocabulary) metaspace(f *tokenizerFile, merges [][2]string) error {
	if err := v.escaping(f); err != nil {
		return err
	}
	if !f.Model.ByteFallback || f.Model.IgnoreMerges {
		return noTokenizer("BPE on characters without byte_fallback, or with ignore_merges, is not supported")
	}
	for b := range 256 {
		id, ok := v.ids[fmt.Sprintf("<0x%02X>", b)]
		if ok {
			v.types[id] = byteToken
			continue
		}
		// Gemma has the tab itself in its place.
		if _, ok = v.ids[string(rune(b))]; !ok || b >= utf8.RuneSelf {
			return noTokenizer("it has no token for byte %d", b)
		}
	}
	if u := f.Model.Unknown; u != nil {
		if id, ok := v.ids[*u]; ok && v.types[id] == normalToken {
			v.types[id] = unknownToken
		}
	}
	v.model, v.pre = "llama", "default"
	return v.rank(merges)
}

// escaping reads how blanks become ▁, and where one is added before a text.
func (v *vocabulary) escaping(f *tokenizerFile) error {
	escaped, prepended := false, false
	for _, s := range f.Normalizer.flat() {
		switch {
		case s.Type == "Replace" && s.is(" ") && s.Content == space:
			escaped = true
		case s.Type == "Prepend" && s.Prepend == space && !prepended:
			prepended, v.prefix = true, "prepend"
		default:
			return noTokenizer("normaliser %.40q of this form is not supported before BPE on characters", s.Type)
		}
	}
	for _, s := range f.PreTokenizer.flat() {
		switch {
		case s.Type == "Split" && s.is(" ") && escaped: // there are none any more
		case s.Type == "Metaspace" && s.Replacement == space && !escaped:
			escaped = true
			switch s.Scheme {
			case "always", "first":
				v.prefix = s.Scheme
			case "never":
			default:
				return noTokenizer("Metaspace with prepend_scheme %.40q is not supported", s.Scheme)
			}
			if s.Split == nil || *s.Split {
				if err := v.wordwise(); err != nil {
					return err
				}
			}
		default:
			return noTokenizer("pre-tokenizer %.40q of this form is not supported before BPE on characters", s.Type)
		}
	}
	if !escaped {
		return noTokenizer("BPE on characters that keeps blanks is not supported")
	}
	for _, a := range f.AddedTokens {
		if a.Normalized && prepended {
			return noTokenizer("token %.100q is looked for in the text with a blank before it (normalized), which is not supported", a.Content)
		}
		// What is looked for in the text as it was never finds a ▁: merges make it.
		if !a.Normalized && strings.Contains(a.Content, space) && v.types[a.ID] == userToken {
			v.types[a.ID] = normalToken
			if strings.Trim(a.Content, space) == "" {
				v.blanks++
			}
		}
	}
	return nil
}

// wordwise refuses pieces that merging could make of two words, which a
// pre-tokenizer keeps apart.
func (v *vocabulary) wordwise() error {
	for text := range v.ids {
		if len(text) > 0 && strings.Contains(text[1:], space) {
			return noTokenizer("token %.100q spans the words that Metaspace cuts apart", text)
		}
	}
	return nil
}

// rank makes scores of the merges: SentencePiece joins any two neighbours that
// are a token together, the one with the highest score first. That is the same
// if every such pair is a merge, and if the merges that make one token follow
// each other; others are refused.
func (v *vocabulary) rank(merges [][2]string) error {
	order := make(map[string]int, len(v.ids)) // of what merges make
	listed := make(map[[2]string]bool, len(merges))
	key, last := v.runs(merges), ""
	for i, p := range merges {
		made := p[0] + p[1]
		id, ok := v.ids[made]
		if p[0] == "" || p[1] == "" || !ok {
			return fmt.Errorf("tokenizer.json: merge %d, %.100q, makes no token", i, p)
		}
		listed[p] = true
		if v.types[id] != normalToken { // cut out of texts before they are merged
			continue
		}
		if made = key(made); made == last {
			continue
		}
		if _, again := order[made]; again {
			return noTokenizer("the merges that make %.100q do not follow each other", made)
		}
		order[made], last = len(order), made
	}
	v.scores = make([]float32, len(v.tokens))
	next := len(order)
	for id, text := range v.tokens {
		switch rank, made := order[key(text)]; {
		case v.types[id] != normalToken: // what the converter gives them
			v.scores[id] = -1000
			if v.types[id] == unusedToken {
				v.scores[id] = -10000
			}
		case made:
			v.scores[id] = -float32(rank)
		default:
			v.scores[id] = -float32(next)
			next++
		}
	}
	return v.complete(listed)
}

// runs looks at the merges of blanks with blanks. SentencePiece gives all runs
// of them one score (Llama), or cuts them out of a text before all else, the
// longest first (Gemma, where they are added tokens); then a run grows from the
// left. Merges do the same if one that has begun grows before another begins:
// runs returns by what name a token is ordered, and that of such runs is one.
func (v *vocabulary) runs(merges [][2]string) (key func(string) string) {
	key = func(text string) string { return text }
	run := func(text string) bool { return len(text) > len(space) && strings.Trim(text, space) == "" }
	grows := map[int]int{} // by its length, the rank of the merge that makes a run one longer
	longest, before := 1, 0
	for rank, p := range merges {
		switch made := p[0] + p[1]; {
		case run(made):
			longest = max(longest, len(made)/len(space))
			if p[1] == space {
				grows[len(p[0])/len(space)] = rank
			}
		case strings.Contains(made, space) && len(grows) == 0:
			before++
		}
	}
	for n := 1; n < longest; n++ {
		rank, ok := grows[n]
		if next, more := grows[n+1]; !ok || more && next > rank {
			return key
		}
	}
	if before == 0 && v.blanks == longest-1 {
		for n := 2; n <= longest; n++ {
			if id, ok := v.ids[strings.Repeat(space, n)]; ok {
				v.tokens[id], v.types[id] = strings.Repeat(" ", n), userToken
			}
		}
	}
	return func(text string) string {
		if run(text) {
			return space + space
		}
		return text
	}
}

// complete checks that any two tokens that are one together are a merge.
func (v *vocabulary) complete(listed map[[2]string]bool) error {
	normal := func(text string) bool {
		id, ok := v.ids[text]
		return ok && v.types[id] == normalToken
	}
	for text, id := range v.ids {
		if v.types[id] != normalToken {
			continue
		}
		for i := 0; i < len(text); {
			_, n := utf8.DecodeRuneInString(text[i:])
			i += n
			if i < len(text) && !listed[[2]string{text[:i], text[i:]}] && normal(text[:i]) && normal(text[i:]) {
				return noTokenizer("%.100q and %.100q are tokens, and so are the two together, but they do not merge", text[:i], text[i:])
			}
		}
	}
	return nil
}
