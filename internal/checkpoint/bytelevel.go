package checkpoint

import (
	"fmt"
	"strings"
)

// The expressions that cut texts into words, as tokenizer.json has them.
const (
	cl100k   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	upper    = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
	lower    = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	suffix   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
	first    = `[^\r\n\p{L}\p{N}]?`
	o200k    = first + upper + `*` + lower + `+` + suffix + `|` + first + upper + `+` + lower + `*` + suffix + `|\p{N}{1,3}` + o200kEnd
	tekken   = first + upper + `*` + lower + `+|` + first + upper + `+` + lower + `*|\p{N}` + o200kEnd
	o200kEnd = `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// A cut is a way to make words, in the form of steps: "Split EXPRESSION",
// "Digits", and "GPT-2" for the expression of ByteLevel itself.
type cut struct {
	steps        string
	ignoreMerges bool
}

// pres are the names of the ways that the engine has, tokenizer.ggml.pre. The
// converter finds them by a hash of what a tokenizer makes of a text; several
// names may stand for one way.
var pres = map[cut]string{
	{"GPT-2", false}:           "gpt-2",
	{"Digits;GPT-2", false}:    "smollm",
	{"Split " + cl100k, true}:  "llama-bpe",
	{"Split " + cl100k, false}: "dbrx",
	{"Split " + qwen2, false}:  "qwen2",
	{"Split " + o200k, false}:  "gpt-4o",
	{"Split " + tekken, true}:  "tekken",
	{"Split " + qwen2, true}:   "",
}

// byteLevel makes v a byte-level BPE.
func (v *vocabulary) byteLevel(f *tokenizerFile, merges [][2]string) error {
	for _, s := range f.Normalizer.flat() {
		if s.Type != "NFC" {
			return noTokenizer("normaliser %.40q is not supported before byte-level BPE", s.Type)
		}
		v.nfc = true
	}
	c := cut{ignoreMerges: f.Model.IgnoreMerges}
	var steps []string
	for _, s := range f.PreTokenizer.flat() {
		switch {
		case s.Type == "Split" && s.Pattern.Regex != nil && (s.Behavior == "Isolated" || s.Behavior == "Removed" && s.Invert):
			steps = append(steps, "Split "+*s.Pattern.Regex)
		case s.Type == "Digits" && s.Individual:
			steps = append(steps, "Digits")
		case s.Type == "ByteLevel" && s.AddPrefixSpace != nil && *s.AddPrefixSpace:
			return noTokenizer("a space before each text (add_prefix_space) is not supported in byte-level BPE")
		case s.Type == "ByteLevel":
			if s.UseRegex == nil || *s.UseRegex {
				steps = append(steps, "GPT-2")
			}
		default:
			return noTokenizer("pre-tokenizer %.40q of this form is not supported", s.Type)
		}
	}
	c.steps = strings.Join(steps, ";")
	v.model, v.pre = "gpt2", pres[c]
	if v.pre == "" {
		return noTokenizer("words are cut in a way that llcuda does not know (%.300q, ignore_merges %t)", c.steps, c.ignoreMerges)
	}
	v.merges = make([]string, len(merges))
	for i, p := range merges {
		if p[0] == "" || p[1] == "" || strings.Contains(p[0], " ") || strings.Contains(p[1], " ") {
			return fmt.Errorf("tokenizer.json: merge %d, %.100q, is not two pieces of bytes", i, p)
		}
		v.merges[i] = p[0] + " " + p[1]
	}
	return nil
}
