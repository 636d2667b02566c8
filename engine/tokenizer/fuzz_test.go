package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRoundTrip: what was encoded decodes to the same text. BPE reads each byte that isn't UTF-8 as U+FFFD, SPM keeps it.
// In SPM texts a ▁ is a space; after a byte that isn't UTF-8 a space may come back as ▁, for llama.cpp's sake.
func FuzzRoundTrip(f *testing.F) {
	spm := fixture(f, "llama-spm")
	bpe := []*Tokenizer{fixture(f, "gpt-2"), fixture(f, "deepseek-llm"), fixture(f, "llama-bpe")}
	for _, c := range readCases(f, "testdata/ggml-vocab-gpt-2.gguf") {
		f.Add(c.text)
	}
	f.Add("\xc2 a")
	f.Add("a\xffb\xe2\x82 <|endoftext|></s><0x0A>▁")
	f.Fuzz(func(t *testing.T, text string) {
		got, want := spm.Decode(spm.Encode(text, Options{})), strings.ReplaceAll(text, "▁", " ")
		if !utf8.ValidString(text) {
			got = strings.ReplaceAll(got, "▁", " ")
		}
		if got != want {
			t.Errorf("spm: %q, want %q", got, want)
		}
		valid := string([]rune(text))
		for _, tok := range bpe {
			ids := tok.Encode(text, Options{})
			if got := tok.Decode(ids); got != valid {
				t.Errorf("%s: %q, want %q", tok.v.Pre, got, valid)
			}
			for _, id := range ids[min(1, len(ids)):] {
				if tok.IsControl(id) {
					t.Errorf("%s: text gave the control token %q", tok.v.Pre, tok.Text(id))
				}
			}
		}
	})
}

// FuzzPreTokenizers: the pieces of a text are the text, none is empty, and runes stay whole.
func FuzzPreTokenizers(f *testing.F) {
	loadClasses()
	f.Add(mixed(1000))
	var stages []pre
	for _, name := range []string{"default", "gpt-2", "starcoder", "falcon", "bloom", "viking", "llama-bpe", "minicpm5", "jais-2", "qwen2", "laguna",
		"seed-coder", "ufakzeka", "qwen35", "exaone-moe", "gpt-4o", "granite-embed-multi-97m", "tekken", "tiny_aya", "youtu", "kimi-k2",
		"deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5", "afmoe", "superbpe", "chameleon", "gemma4", "whitespace"} {
		p, err := preTokenizer(name)
		if err != nil {
			f.Fatal(err)
		}
		stages = append(stages, p)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = string([]rune(text))
		for i, p := range stages {
			at := 0
			chain(p.stages, func(piece string) {
				if piece == "" || !utf8.ValidString(piece) || !strings.HasPrefix(text[at:], piece) {
					t.Fatalf("%d: piece %q at %d of %q", i, piece, at, text)
				}
				at += len(piece)
			})(text)
			if text != "" && at != len(text) {
				t.Fatalf("%d: pieces end at %d of %q", i, at, text)
			}
		}
	})
}

// FuzzNew: no vocabulary makes New or Encode fail in another way than by an error.
func FuzzNew(f *testing.F) {
	f.Add("gpt2", "a\nb\nab\n", "a b\nb a\n", "ab", "\x01\x03\x04\x06", int32(1))
	f.Add("llama", "<unk>\n<s>\n</s>\n▁\n<0x0A>\na", "", "a </s>", "\x02\x03\x03\x01\x06\x01", int32(-1))
	f.Add("gemma4", "▁\n<0x41>\n\xff\n\n▁a", "▁ a\na ▁", " a", "\x01\x06", int32(99))
	f.Fuzz(func(t *testing.T, model, tokens, merges, text, types string, id int32) {
		v := Vocab{Model: model, Pre: "llama-bpe", Tokens: strings.Split(tokens, "\n"), Merges: strings.Split(merges, "\n"),
			BOS: id, EOS: id, EOT: -1, EOM: -1, UNK: id, PAD: id, SEP: -1, EOGs: []int32{id, 0}, AddEOS: new(true)}
		for i := range v.Tokens {
			if i < len(types) {
				v.Types = append(v.Types, int32(int8(types[i])))
			} else {
				v.Types = append(v.Types, 1)
			}
			v.Scores = append(v.Scores, float32(i%7)-3)
		}
		tok, err := New(v)
		if err != nil {
			return
		}
		for _, special := range []bool{false, true} {
			ids := tok.Encode(text, Options{Special: special})
			for _, id := range ids {
				if id < 0 || int(id) >= tok.Len() {
					t.Errorf("id %d of %d tokens", id, tok.Len())
				}
			}
			tok.DecodeWith(ids, DecodeOptions{Special: special, Clean: true})
		}
	})
}

// FuzzWordPiece: blanks cut a text for good, so the tokens of two texts with a blank between them are those of each; text
// makes no control token, and each word one token at least.
func FuzzWordPiece(f *testing.F) {
	tok := load(f, "testdata/bert-uncased.gguf.gz")
	f.Add("Hello, wörld!", "한국어 ▁x\u0301")
	f.Add("\xff\u0301", "\u0301a\u0308\u0323")
	none := Options{NoBOS: true, NoEOS: true}
	f.Fuzz(func(t *testing.T, a, b string) {
		both, first, second := tok.Encode(a+" "+b, none), tok.Encode(a, none), tok.Encode(b, none)
		if got := append(first, second...); !slices.Equal(both, got) {
			t.Errorf("%q and %q: %v together, %v alone", a, b, both, got)
		}
		for _, id := range both {
			if tok.IsControl(id) && id != tok.v.UNK {
				t.Errorf("text gave the control token %q", tok.Text(id))
			}
		}
		if ascii := strings.Fields(lettersOf(a)); len(tok.Encode(lettersOf(a), none)) < len(ascii) {
			t.Errorf("%q has fewer tokens than words", lettersOf(a))
		}
	})
}

// lettersOf is the text without what cleaning may drop.
func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || r == ' ' {
			return r
		}
		return -1
	}, s)
}
