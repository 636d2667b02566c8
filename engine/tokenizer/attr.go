package tokenizer

import (
	"slices"
	"strings"
)

// An attr says what a token is to texts.
type attr uint8

const (
	unknown     attr = 1 << iota // stands for what the vocabulary can't say
	control                      // steers the model; no text makes it
	userDefined                  // always cut out of a text, before anything else
	byteToken                    // one byte, <0xXX>
	lstrip                       // swallows white space before it
	rstrip                       // swallows white space after it
)

func (t *Tokenizer) setAttributes() {
	byType := [...]attr{2: unknown, 3: control, 4: userDefined, 6: byteToken}
	t.attr = make([]attr, t.Len())
	if len(t.v.Types) == 0 {
		return
	}
	for i := range t.attr {
		if kind := t.v.Types[i]; kind >= 0 && int(kind) < len(byType) {
			t.attr[i] = byType[kind]
		}
	}
}

// Tokens that are known by their text, because no key of a file names them (llama-vocab.cpp).
var (
	eogTexts = []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
		"[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>", // up to here also candidates for the end of a turn
		"<|eom_id|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "[EOS]", "<eos>", "<turn|>", "<|tool_response>", "[e~["}
	turnTexts = eogTexts[:11]

	// Fill-in-the-middle: a model that writes the padding or the next file's name is done. Each list is one role, by preference.
	fimEnds = [][]string{
		{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"},
		{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
		{"<|file_sep|>"},
	}
	fimMarks = [][]string{
		{"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"},
		{"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"},
		{"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"},
	}
	// gpt-oss writes these between the parts of an answer: they have to be seen.
	shown = []string{"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}
)

// setEOG finds the tokens that end a generation, and makes control tokens of all that are so by their text.
func (t *Tokenizer) setEOG() {
	roles := slices.Concat(fimEnds, fimMarks)
	byText := t.find(slices.Concat(eogTexts, shown, slices.Concat(roles...)))
	t.eog = map[int32]bool{}
	end := func(text string) (int32, bool) {
		id, ok := byText[text]
		if ok {
			t.attr[id] |= control
		}
		return id, ok
	}
	for _, id := range append([]int32{t.v.EOS, t.v.EOT, t.v.EOM}, t.v.EOGs...) {
		if t.has(id) {
			t.eog[id] = true
		}
	}
	for i, role := range roles {
		for _, text := range role {
			if id, ok := end(text); ok {
				if i < len(fimEnds) {
					t.eog[id] = true
				}
				break
			}
		}
	}
	for _, text := range eogTexts {
		if id, ok := end(text); ok {
			t.eog[id] = true
		}
	}
	for _, text := range turnTexts {
		if id, ok := byText[text]; ok && t.v.EOT < 0 {
			t.v.EOT = id
		}
	}
	for _, text := range shown {
		if id, ok := byText[text]; ok {
			t.attr[id] = userDefined
		}
	}
	t.unsetEOG(byText)
}

// unsetEOG takes back what the text alone gets wrong.
func (t *Tokenizer) unsetEOG(byText map[string]int32) {
	ends := func(text string) bool {
		id, ok := byText[text]
		return ok && t.eog[id]
	}
	drop := func(text string, a attr) {
		if ends(text) {
			delete(t.eog, byText[text])
			t.attr[byText[text]] = a
			if t.v.EOT == byText[text] {
				t.v.EOT = -1
			}
		}
	}
	// gpt-oss and Solar end a part of the answer with <|end|>, and the answer with others.
	call := ends("<|call|>") || ends("<|calls|>")
	if call && (ends("<|return|>") || ends("<|flush|>")) {
		drop("<|end|>", userDefined)
	}
	// To Gemma 4 it is a tag of HTML.
	if ends("<|tool_response>") {
		drop("</s>", 0)
	}
}

// setStrip gives white-space rules to the tokens that the file lists, or to those of models that no key tells about.
func (t *Tokenizer) setStrip() {
	if t.v.LStrip != nil || t.v.RStrip != nil {
		for a, ids := range map[attr][]int32{lstrip: t.v.LStrip, rstrip: t.v.RStrip} {
			for _, id := range ids {
				if t.has(id) {
					t.attr[id] |= a
				}
			}
		}
		return
	}
	name := strings.ToLower(t.v.Name)
	set := func(a attr, on bool, texts ...string) {
		for _, id := range t.find(texts) {
			t.attr[id] &^= a
			if on {
				t.attr[id] |= a
			}
		}
	}
	switch {
	case strings.Contains(t.v.Pre, "jina-v2-"):
		set(lstrip, true, "<mask>")
	case strings.Contains(name, "phi-3"), strings.Contains(name, "phi3"):
		for i, a := range t.attr {
			if a&(control|userDefined|unknown) != 0 {
				t.attr[i] |= rstrip
			}
		}
		set(rstrip, true, "</s>")
		set(rstrip, false, "<unk>", "<s>", "<|endoftext|>")
	case strings.Contains(name, "modern-bert"):
		set(lstrip, true, "[MASK]")
	}
}

// find returns the first id of each text that is in the vocabulary.
func (t *Tokenizer) find(texts []string) map[string]int32 {
	wanted := make(map[string]bool, len(texts))
	longest := 0
	for _, text := range texts {
		wanted[text] = true
		longest = max(longest, len(text))
	}
	ids := map[string]int32{}
	for i, text := range t.v.Tokens {
		if len(text) > longest || !wanted[text] {
			continue
		}
		if _, ok := ids[text]; !ok {
			ids[text] = int32(i)
		}
	}
	return ids
}
