package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/rangetable"
)

// The truth of these tests is transformers' BertTokenizerFast (testdata/wordpiece.py).

// TestWordPieceCases: llama.cpp's test texts with BERT's own vocabulary.
func TestWordPieceCases(t *testing.T) {
	tok := load(t, "testdata/bert-uncased.gguf.gz")
	for _, c := range readCases(t, "testdata/bert-uncased.gguf") {
		if got := tok.Encode(c.text, Options{NoBOS: true, NoEOS: true}); !slices.Equal(got, c.ids) {
			t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.ids)
		}
	}
}

// TestWordPieceMixed: texts of everything, with BERT's vocabulary, and with one that has each character twice, at the
// start of a word and inside it, so that no [UNK] hides a difference.
func TestWordPieceMixed(t *testing.T) {
	text := oldRunes(mixed(1 << 20))
	for _, line := range readHashes(t, "testdata/wordpiece.sha256") {
		name, lower, strip, want := line[0], line[1] == "lower", line[2] == "strip", line[3]
		t.Run(strings.Join(line[:3], " "), func(t *testing.T) {
			v := runeVocab()
			if name == "bert-uncased" {
				v = loadVocab(t, "testdata/bert-uncased.gguf.gz")
			}
			v.Lowercase, v.StripAccents = &lower, &strip
			tok, err := New(v)
			if err != nil {
				t.Fatal(err)
			}
			ids := tok.Encode(text, Options{})
			if got := hashIDs(ids); got != want {
				t.Errorf("%d ids hash to %s, want %s", len(ids), got, want)
			}
		})
	}
}

// runeVocab is [PAD] [UNK] [CLS] [SEP], then two tokens for each rune up to the last Chinese one.
func runeVocab() Vocab {
	v := bare("bert", "[PAD]", "[UNK]", "[CLS]", "[SEP]")
	for r := rune(1); r < 0x2FA20; r++ {
		if (r < 0xD800 || r >= 0xE000) && r != '▁' {
			v.Tokens = append(v.Tokens, "▁"+string(r), string(r))
		}
	}
	return v
}

// oldRunes replaces what transformers takes for something else than we do: the classes of its punctuation, marks and
// formats are those of Unicode 8, its lower case is that of a later version than Go's.
func oldRunes(text string) string {
	unicode8 := rangetable.Assigned("8.0.0")
	changed := []rune{0x166D, 0x1734, 0x1885, 0x1886, 0x111C9} // their class changed later
	loadClasses()
	return strings.Map(func(r rune) rune {
		young := !unicode.Is(unicode8, r) && (unicode.In(r, unicode.P, unicode.Mn, unicode.C) || classes[r] == 0)
		if young || slices.Contains(changed, r) {
			return 'x'
		}
		return r
	}, text)
}

func TestWordPiece(t *testing.T) {
	v := bare("bert", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁un", "aff", "able", "▁hello", "▁,", "▁世", "▁cafe", "▁[", "▁]", "▁mask", "▁i\u0307")
	for _, c := range []struct {
		name, text string
		change     func(v *Vocab)
		o          Options
		want       []int32
	}{
		{"empty", "", nil, Options{}, []int32{2, 3}},
		{"only blanks", " \t\n\u3000", nil, Options{}, []int32{2, 3}},
		{"longest first", "unaffable", nil, Options{}, []int32{2, 5, 6, 7, 3}},
		{"one unknown part makes all unknown", "unaffablex hello", nil, Options{}, []int32{2, 1, 8, 3}},
		{"case and punctuation", "HELLO,hello", nil, Options{}, []int32{2, 8, 9, 8, 3}},
		{"cased", "HELLO hello", func(v *Vocab) { v.Lowercase = new(false) }, Options{}, []int32{2, 1, 8, 3}},
		{"accents", "CAFÉ cafe\u0301", nil, Options{}, []int32{2, 11, 11, 3}},
		{"accents kept", "café", func(v *Vocab) { v.StripAccents = new(false) }, Options{}, []int32{2, 1, 3}},
		{"two for one in lower case", "İ", func(v *Vocab) { v.StripAccents = new(false) }, Options{}, []int32{2, 15, 3}},
		{"Chinese characters are words", "hello世世", nil, Options{}, []int32{2, 8, 10, 10, 3}},
		{"100 characters", "un" + strings.Repeat("aff", 32) + "xx", nil, Options{}, []int32{2, 1, 3}},
		{"101 characters", "un" + strings.Repeat("aff", 33), nil, Options{}, []int32{2, 1, 3}},
		{"98 characters", "un" + strings.Repeat("aff", 32), nil, Options{NoBOS: true, NoEOS: true}, append([]int32{5}, slices.Repeat([]int32{6}, 32)...)},
		{"no control token from text", "[MASK]", nil, Options{}, []int32{2, 12, 14, 13, 3}},
		{"control token that was asked for", "hello [MASK]", nil, Options{Special: true}, []int32{2, 8, 4, 3}},
		{"no ends", "hello", nil, Options{NoBOS: true, NoEOS: true}, []int32{8}},
		{"a file that wants no [SEP]", "hello", func(v *Vocab) { v.AddSEP = new(false) }, Options{}, []int32{2, 8}},
		{"no start of a word inside one", "hello▁hello", nil, Options{}, []int32{2, 1, 3}},
		{"not UTF-8", "hel\xfflo", nil, Options{}, []int32{2, 8, 3}},
		{"ids of the file", "hello", func(v *Vocab) { v.BOS, v.SEP = 4, 0 }, Options{}, []int32{4, 8, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v
			if c.change != nil {
				c.change(&v)
			}
			tok, err := New(v)
			if err != nil {
				t.Fatal(err)
			}
			if got := tok.Encode(c.text, c.o); !slices.Equal(got, c.want) {
				t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.want)
			}
		})
	}
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Decode(tok.Encode("Unaffable, hello", Options{})); got != "unaffable , hello" {
		t.Errorf("decoded: %q", got)
	}
	if id, ok := tok.EOS(); !ok || id != 3 {
		t.Errorf("EOS is %d, want [SEP], 3", id)
	}
}

func TestWordPieceRefused(t *testing.T) {
	_, err := New(bare("bert", "[PAD]", "[CLS]", "[SEP]", "▁a"))
	if err == nil || !strings.Contains(err.Error(), "[UNK]") {
		t.Errorf("a vocabulary without [UNK]: %v", err)
	}
	tok, err := New(bare("bert", "[UNK]", "▁a"))
	if err != nil {
		t.Fatal(err)
	}
	if got, warned := tok.Encode("a", Options{}), tok.Warnings(); !slices.Equal(got, []int32{1}) || len(warned) != 2 {
		t.Errorf("without [CLS] and [SEP]: %v and %d warnings, want [1] and 2", got, len(warned))
	}
}
