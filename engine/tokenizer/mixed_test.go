package tokenizer

import (
	_ "embed"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

//go:embed testdata/prose.txt
var prose string // from "War and Peace", in the public domain

var (
	writeMixed = flag.String("mixed", "", "write the mixed text to this file, for other tokenizers to encode, and what oldRunes makes of it to this name with .old")
	mixedSize  = flag.Int("mixedsize", 1<<20, "its size")
)

func TestWriteMixed(t *testing.T) {
	if *writeMixed == "" {
		t.Skip("only with -mixed FILE")
	}
	text := mixed(*mixedSize)
	for path, text := range map[string]string{*writeMixed: text, *writeMixed + ".old": oldRunes(text)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// mixed returns a text of at least size bytes that has something of everything, the same one every time: prose, code,
// numbers, 60 scripts, emoji, combining marks, control characters, all kinds of white space, and bytes that are not UTF-8.
func mixed(size int) string {
	r := rand.New(rand.NewPCG(20261123, 3))
	makers := []func(*rand.Rand, *strings.Builder){
		proseSlice, proseSlice, proseSlice, sourceCode, digits, digits, scriptWords, scriptWords, scriptWords, emoji, combining,
		controls, whiteSpace, whiteSpace, anyRunes, punctuationRun, contractions, camels, tags, brokenBytes, unspaced,
	}
	var b strings.Builder
	for b.Len() < size {
		makers[r.IntN(len(makers))](r, &b)
		if r.IntN(2) == 0 {
			b.WriteByte(" \n"[r.IntN(2)])
		}
	}
	return b.String()
}

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

func proseSlice(r *rand.Rand, b *strings.Builder) {
	from := r.IntN(len(prose) - 1000)
	for !utf8.RuneStart(prose[from]) {
		from++
	}
	to := from + 100 + r.IntN(700)
	for !utf8.RuneStart(prose[to]) {
		to++
	}
	b.WriteString(prose[from:to])
}

func sourceCode(r *rand.Rand, b *strings.Builder) {
	b.WriteString(pick(r, []string{
		"func (t *Tokenizer) Piece(id int32) []byte {\n\tif id < 0 || int(id) >= len(t.ends) {\n\t\treturn nil // out of range\n\t}\n}\n",
		"for(int i=0;i<n;i++){a[i]+=b[i]*0x1F;}//sum\r\n\r\n",
		"    def __init__(self, *args, **kwargs):\n        super().__init__()\n        self.x = kwargs.get('x', 1e-5)\n\n\n",
		"SELECT COUNT(*) FROM `t` WHERE a<>'b''s' AND c LIKE '%_x';\n",
		"<div class=\"a-b c_d\">&nbsp;&#8217;</div>\n\n\n\n<!-- TODO(x): ... -->",
		"\\frac{\\partial f}{\\partial x_{i,j}} \\approx 3.14159 \\cdot 10^{-12}",
		"{\"key\": [1, 2.5, null, true], \"k\u00fc\": \"\\u00e9\"}",
		"$ grep -rn 'foo|bar' ./src | awk '{print $2}' >/dev/null 2>&1 && echo $?\n",
	}))
}

func digits(r *rand.Rand, b *strings.Builder) {
	switch r.IntN(6) {
	case 0:
		fmt.Fprintf(b, "%d.%d", r.IntN(1e6), r.IntN(1e4))
	case 1:
		fmt.Fprintf(b, " 20%02d-%02d-%02dT%02d:%02d", r.IntN(100), r.IntN(12), r.IntN(31), r.IntN(24), r.IntN(60))
	case 2:
		for range r.IntN(40) {
			b.WriteByte('0' + byte(r.IntN(10)))
		}
	case 3:
		for range r.IntN(12) { // other digits, fractions, circled and Roman numbers, in one run
			b.WriteRune(pick(r, []rune("0123456789٣४៥൬๔５²½⅔Ⅻ⑳㊾〇𝟗𑁩¾")))
		}
	case 4:
		fmt.Fprintf(b, "%d,%03d,%03d €", r.IntN(99), r.IntN(1000), r.IntN(1000))
	case 5:
		fmt.Fprintf(b, "x%dy%d z_%d", r.IntN(9999), r.IntN(99), r.IntN(9))
	}
}

var scripts = []string{"Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Syriac", "Thaana", "Devanagari", "Bengali", "Gurmukhi",
	"Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian", "Hangul",
	"Ethiopic", "Cherokee", "Canadian_Aboriginal", "Ogham", "Runic", "Khmer", "Mongolian", "Hiragana", "Katakana", "Bopomofo", "Han", "Yi",
	"Gothic", "Deseret", "Tagalog", "Limbu", "Tai_Le", "Linear_B", "Ugaritic", "Osmanya", "Cypriot", "Buginese", "Coptic", "Glagolitic",
	"Tifinagh", "Old_Persian", "Balinese", "Cuneiform", "Phoenician", "Nko", "Vai", "Adlam", "Osage", "Braille", "Common", "Inherited"}

func scriptWords(r *rand.Rand, b *strings.Builder) {
	table := unicode.Scripts[pick(r, scripts)]
	for range 1 + r.IntN(8) {
		for range 1 + r.IntN(9) {
			b.WriteRune(runeOf(r, table))
		}
		b.WriteString(pick(r, []string{" ", " ", " ", "", ", ", "。", "\n", "、", " - "}))
	}
}

func runeOf(r *rand.Rand, table *unicode.RangeTable) rune {
	n := r.IntN(len(table.R16) + len(table.R32))
	if n < len(table.R16) {
		x := table.R16[n]
		return rune(x.Lo) + rune(x.Stride)*rune(r.IntN(int((x.Hi-x.Lo)/x.Stride)+1))
	}
	x := table.R32[n-len(table.R16)]
	return rune(x.Lo) + rune(x.Stride)*rune(r.IntN(int((x.Hi-x.Lo)/x.Stride)+1))
}

func emoji(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(4) {
		b.WriteString(pick(r, []string{"👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "❤️‍🔥", "🧑🏿‍🚀", "😀", "🫠", "☂️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🚀🚀🚀", "™️", "©", "🀄", "㊗️"}))
	}
}

func combining(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(6) {
		b.WriteRune(pick(r, []rune("aeounAEOÅ!? .-1漢कé'")))
		for range r.IntN(4) {
			b.WriteRune(pick(r, []rune("\u0301\u0308\u0323\u0327\u0489\u20DD\u093F\u094D\u0E31\u064B\u05B0\uFE0F")))
		}
	}
}

func controls(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(4) {
		b.WriteRune(pick(r, []rune("\x01\x02\x07\x08\x0e\x1b\x1c\x1f\x7f\u0080\u0085\u009f\u00ad\u200b\u200c\u200d\u200e\u202e\u2060\ufeff\ufff9\ue000\U000f0000\U000e0001\u0378")))
	}
	b.WriteString(pick(r, []string{"", "a", "1", " ", "!", "é"}))
}

func whiteSpace(r *rand.Rand, b *strings.Builder) {
	if r.IntN(60) == 0 {
		b.WriteString(strings.Repeat(pick(r, []string{" ", "\t", "\n", "\u00a0"}), r.IntN(700)))
	}
	for range 1 + r.IntN(6) {
		b.WriteString(pick(r, []string{" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\v", "\f", "\r", "\u00a0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f",
			"\u205f", "\u3000", "\u180e", "        ", "\n \n", " \n"}))
	}
	b.WriteString(pick(r, []string{"", "", "word", "7", "?", "ß", "字", "\u0301"}))
}

func anyRunes(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(8) {
		x := rune(r.IntN(unicode.MaxRune + 1))
		if r.IntN(3) > 0 {
			x = rune(r.IntN(0x3000))
		}
		if x == 0 || 0xD800 <= x && x < 0xE000 {
			x = 'x'
		}
		b.WriteRune(x)
	}
}

func punctuationRun(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(6) {
		b.WriteRune(pick(r, []rune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡«»¿–—‘’“”…€₹±×÷∑√∞≠←→■●★、。「」！，：；？～¦§¨´·")))
	}
	b.WriteString(pick(r, []string{"", "\n", "\r\n", "/\n", "//", "word", "Word", " "}))
}

func contractions(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(4) {
		b.WriteString(pick(r, []string{"I", "we", "DON", "it", " ", "É", "Türk", "1990", "ÉA"}))
		b.WriteString(pick(r, []string{"'s", "'S", "'t", "'T", "'re", "'Re", "'rE", "'VE", "'ve", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "'x", "'", "''s", "’s", "'ſ", "'l", "'r", "' s"}))
		b.WriteString(pick(r, []string{" ", "", "\n", "a"}))
	}
}

func camels(r *rand.Rand, b *strings.Builder) {
	for range 1 + r.IntN(10) {
		b.WriteString(pick(r, []string{"A", "B", "XML", "Http", "Request", "a", "bc", "É", "é", "ß", "ÀÉ", "Ж", "ж", "ǅ", "ʰ", "字", "i", "İ", "_", "1", "\u0301"}))
	}
}

func tags(r *rand.Rand, b *strings.Builder) {
	b.WriteString(pick(r, []string{"<|im_start|>user\n", "<|endoftext|>", "</s>", "<s>", "<unk>", "<0x0A>", "[INST] x [/INST]", "<start_of_turn>model\n", "<bos>", "<eos>",
		"<|eot_id|>", "<sentinel:12>", "<sentinel:>", "IMGIMGABCDZ", "IMGIMGZ", "IMGIMGABCDEZ", "▁", "▁▁▁", "Ġ", "<unused7>", "<pad>", "<mask>", "<tab>"}))
}

// brokenBytes leaves out what llama.cpp decodes although it should not: overlong forms, surrogates, beyond U+10FFFF.
func brokenBytes(r *rand.Rand, b *strings.Builder) {
	if r.IntN(4) > 0 {
		return
	}
	b.WriteString(pick(r, []string{"\xff", "\x80", "\xbf\xbf", "\xe2\x82", "\xe2\x82a", "\xf0\x9f\x98", "\xf0\x9f b", "\xc3", "\xc3(", "\xf8\x88", "\xfe"}))
}

func unspaced(r *rand.Rand, b *strings.Builder) {
	n := r.IntN(400)
	if r.IntN(2) == 0 {
		for range n {
			b.WriteByte('a' + byte(r.IntN(26)))
		}
		return
	}
	for range n {
		b.WriteRune(0x4E00 + rune(r.IntN(0x5000)))
	}
}
