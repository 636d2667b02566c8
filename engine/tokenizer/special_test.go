package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func TestControlTokensInText(t *testing.T) {
	// Every step from characters to the control token is a token or a merge: text could make it by merging.
	spm := bare("llama", "<unk>", "<s>", "</s>", "<", "/", "s", ">", "</", "</s", "▁", "<0x41>", "A", "<0", "<0x", "<0x4", "<0x41", "0", "x", "4", "1")
	spm.Types = slices.Repeat([]int32{1}, len(spm.Tokens))
	spm.Types[0], spm.Types[1], spm.Types[2], spm.Types[10] = 2, 3, 3, 6
	spm.AddBOS, spm.AddSpacePrefix = new(false), new(false)
	bpe := bare("gpt2", "E", "O", "T", "EO", "EOT", "x")
	bpe.Merges = []string{"E O", "EO T"}
	bpe.Types = []int32{1, 1, 1, 1, 3, 1}
	whole := bare("gpt2", "$", "#", "$#")
	whole.Pre, whole.Types, whole.AddBOS = "llama-bpe", []int32{1, 1, 3}, new(false)
	for _, c := range []struct {
		name    string
		v       Vocab
		text    string
		plain   []int32
		special []int32
	}{
		{"spm", spm, "</s>", []int32{8, 6}, []int32{2}},
		{"spm byte token", spm, "<0x41>", []int32{15, 6}, []int32{15, 6}},
		{"bpe by merges", bpe, "EOT", []int32{3, 2}, []int32{4}},
		{"bpe in words", bpe, "xEOTx", []int32{5, 3, 2, 5}, []int32{5, 4, 5}},
		{"bpe by whole words", whole, "$#", []int32{0, 1}, []int32{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := New(c.v)
			if err != nil {
				t.Fatal(err)
			}
			if got := tok.Encode(c.text, Options{}); !slices.Equal(got, c.plain) {
				t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.plain)
			}
			if got := tok.Encode(c.text, Options{Special: true}); !slices.Equal(got, c.special) {
				t.Errorf("Encode(%q) with Special = %v, want %v", c.text, got, c.special)
			}
			if got := tok.Decode(c.plain); got != c.text {
				t.Errorf("Decode(%v) = %q, want %q", c.plain, got, c.text)
			}
		})
	}
}

func TestUserDefined(t *testing.T) {
	v := bare("gpt2", "a", "b", "c", "d", "abc", "cd", "ab", "bc")
	v.Types = []int32{1, 1, 1, 1, 4, 4, 4, 4}
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		want []int32
	}{
		{"abcd", []int32{4, 3}},          // the longest first
		{"bcd", []int32{1, 5}},           // among equals the lower id, though it comes later
		{"abab", []int32{6, 6}},          //
		{"ababcd", []int32{6, 4, 3}},     // the longest first, though a shorter one comes earlier
		{"dab bcc", []int32{3, 6, 7, 2}}, // no token for the space
	} {
		if got := tok.Encode(c.text, Options{}); !slices.Equal(got, c.want) {
			t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

func TestEOG(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(v *Vocab)
		tokens string
		eog    string
		shown  string // tokens that Decode shows
	}{
		{"by id", func(v *Vocab) { v.EOS, v.EOT, v.EOM, v.EOGs = 0, 1, 2, []int32{3} }, "a b c d e", "a b c d", "a b c d e"},
		{"out of range", func(v *Vocab) { v.EOS, v.EOGs = 9, []int32{-1, 77} }, "a b", "", "a b"},
		{"by text", nil, "<|im_end|> <|eot_id|> <end_of_turn> x", "<|im_end|> <|eot_id|> <end_of_turn>", "x"},
		{"fill in the middle", nil, "<|fim_prefix|> <|fim_pad|> <|repo_name|> <|file_sep|> <|fim_middle|> x", "<|fim_pad|> <|repo_name|> <|file_sep|>", "x"},
		{"gpt-oss", nil, "<|end|> <|return|> <|call|> <|channel|> x", "<|return|> <|call|>", "<|end|> <|channel|> x"},
		{"solar", nil, "<|end|> <|calls|> <|flush|>", "<|calls|> <|flush|>", "<|end|>"},
		{"end alone", nil, "<|end|> <|call|>", "<|end|> <|call|>", ""},
		{"gemma 4", nil, "</s> <|tool_response> <turn|>", "<|tool_response> <turn|>", "</s>"},
		{"llama 2", nil, "</s> x", "</s>", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := bare("gpt2", strings.Fields(c.tokens)...)
			if c.change != nil {
				c.change(&v)
			}
			tok, err := New(v)
			if err != nil {
				t.Fatal(err)
			}
			var eog, shown []string
			for id, text := range v.Tokens {
				if tok.IsEOG(int32(id)) {
					eog = append(eog, text)
				}
				if tok.Decode([]int32{int32(id)}) != "" {
					shown = append(shown, text)
				}
				if got, ok := tok.ID(text); !ok || got != int32(id) {
					t.Errorf("ID(%q) = %d, %v, want %d", text, got, ok, id)
				}
			}
			if got := strings.Join(eog, " "); got != c.eog {
				t.Errorf("EOG %q, want %q", got, c.eog)
			}
			if got := strings.Join(shown, " "); got != c.shown {
				t.Errorf("shown %q, want %q", got, c.shown)
			}
		})
	}
}

func TestBOSAndEOS(t *testing.T) {
	v := bare("llama", "<unk>", "<s>", "</s>", "▁", "a")
	v.Types = []int32{2, 3, 3, 1, 1}
	v.AddEOS = new(true)
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		o    Options
		want []int32
	}{
		{"", Options{}, []int32{1, 2}},
		{"a", Options{}, []int32{1, 3, 4, 2}},
		{"a", Options{NoBOS: true, NoEOS: true}, []int32{3, 4}},
		{"<s>a", Options{Special: true, NoEOS: true}, []int32{1, 3, 4}}, // not doubled
		{"<s>a", Options{Special: true, NoBOS: true, NoEOS: true}, []int32{1, 3, 4}},
		{"a<s>a", Options{Special: true, NoEOS: true}, []int32{1, 3, 4, 1, 3, 4}}, // SPM puts a space after control tokens too
	} {
		if got := tok.Encode(c.text, c.o); !slices.Equal(got, c.want) {
			t.Errorf("Encode(%q, %+v) = %v, want %v", c.text, c.o, got, c.want)
		}
	}
	if got := tok.Decode([]int32{1, 3, 4, 2}); got != "a" {
		t.Errorf("Decode = %q, want %q", got, "a")
	}
	if got := tok.DecodeWith([]int32{1, 3, 4, 2}, DecodeOptions{Special: true}); got != "<s> a</s>" {
		t.Errorf("DecodeWith Special = %q, want %q", got, "<s> a</s>")
	}
}

func TestSpecialIDs(t *testing.T) {
	tok := fixture(t, "llama-bpe")
	if id, ok := tok.BOS(); !ok || tok.Text(id) != "<|begin_of_text|>" || !tok.AddsBOS() || tok.AddsEOS() {
		t.Errorf("BOS = %d, %v, adds %v", id, ok, tok.AddsBOS())
	}
	eot, _ := tok.ID("<|eot_id|>")
	if !tok.IsEOG(eot) || !tok.IsControl(eot) || tok.IsEOG(0) {
		t.Errorf("<|eot_id|> %d is EOG %v, control %v", eot, tok.IsEOG(eot), tok.IsControl(eot))
	}
	if id, ok := tok.ID("Ġthe"); !ok || string(tok.Piece(id)) != " the" {
		t.Errorf("Ġthe is %d %q", id, tok.Piece(id))
	}
	if id, ok := tok.ID("no such token"); ok {
		t.Errorf("ID of no token is %d", id)
	}
}

// TestLongRuns has texts that take minutes where anything is quadratic.
func TestLongRuns(t *testing.T) {
	check := func(tok *Tokenizer, name, s string, size int) {
		text := strings.Repeat(s, size/len(s))
		ids := tok.Encode(text, Options{NoBOS: true})
		if s == "\xff" && !tok.spm {
			text = strings.ReplaceAll(text, s, "\uFFFD")
		}
		if got := tok.Decode(ids); got != text {
			t.Errorf("%s: Decode(Encode(%q…)) differs", name, s)
		}
	}
	for _, name := range []string{"gpt-2", "llama-spm"} {
		tok := fixture(t, name)
		for _, s := range []string{"a", " ", "字", "\xff"} {
			check(tok, name, s, 1<<20)
		}
	}
	base, err := New(pairVocab("gpt-2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range readHashes(t, "testdata/pre.sha256") {
		tok := renamed(t, base, line[0])
		for _, s := range []string{"a", "7", " ", "\n", "字", "!", "\u0301", "aA", "é", "\x00", "<", "\xff"} {
			check(tok, line[0], s, 1<<14)
		}
	}
}
