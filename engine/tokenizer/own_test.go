package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// TestSpacePrefix: where a space is added, as the Metaspace and the Prepend of
// the tokenizers library 0.23 do for these texts.
func TestSpacePrefix(t *testing.T) {
	v := bare("llama", "<unk>", "<s>", "</s>", "▁", "a", "<t>")
	v.Types = []int32{2, 3, 3, 1, 1, 4}
	v.AddBOS = new(false)
	for _, c := range []struct {
		prefix string
		text   string
		want   []int32
	}{
		{"", "a<t>a", []int32{3, 4, 5, 3, 4}},
		{"", " a<t> a", []int32{3, 3, 4, 5, 3, 3, 4}},
		{"always", "a<t>a", []int32{3, 4, 5, 3, 4}},
		{"always", " a<t> a", []int32{3, 4, 5, 3, 4}},
		{"first", "a<t>a", []int32{3, 4, 5, 4}},
		{"first", " a<t> a", []int32{3, 4, 5, 3, 4}},
		{"first", "<t>a", []int32{5, 4}},
		{"first", "▁a", []int32{3, 4}},
	} {
		v.SpacePrefix = c.prefix
		tok, err := New(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(c.text, Options{}); !slices.Equal(got, c.want) {
			t.Errorf("%q: Encode(%q) = %v, want %v", c.prefix, c.text, got, c.want)
		}
	}
	v.SpacePrefix = "maybe"
	if _, err := New(v); err == nil || !strings.Contains(err.Error(), `space_prefix is "maybe"`) {
		t.Errorf("space_prefix maybe: %v", err)
	}
}

// TestNFC: é is one character, however it is written.
func TestNFC(t *testing.T) {
	v := bare("gpt2", "e", "Ã", "©", "Ã©", "Ì", "ģ")
	v.Pre, v.Merges = "qwen2", []string{"Ã ©"}
	for _, c := range []struct {
		nfc  bool
		want []int32
	}{{false, []int32{0, 4, 5}}, {true, []int32{3}}} {
		v.NFC = c.nfc
		tok, err := New(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode("e\u0301", Options{}); !slices.Equal(got, c.want) {
			t.Errorf("nfc %v: %v, want %v", c.nfc, got, c.want)
		}
	}
}

// TestStripLists: the lists say which tokens swallow white space, whatever the
// model is called.
func TestStripLists(t *testing.T) {
	v := bare("llama", "<unk>", "<s>", "</s>", "▁", "a", "<l>", "<r>")
	v.Types = []int32{2, 3, 3, 1, 1, 4, 4}
	v.AddBOS, v.AddSpacePrefix = new(false), new(false)
	for _, c := range []struct {
		name           string
		lstrip, rstrip []int32
		want           []int32
	}{
		{"", nil, nil, []int32{4, 3, 5, 3, 4, 3, 6, 3, 4}},
		{"Phi-3", nil, nil, []int32{4, 3, 5, 4, 3, 6, 4}},
		{"Phi-3", []int32{}, []int32{}, []int32{4, 3, 5, 3, 4, 3, 6, 3, 4}},
		{"", []int32{5}, []int32{6, 99}, []int32{4, 5, 3, 4, 3, 6, 4}},
	} {
		v.Name, v.LStrip, v.RStrip = c.name, c.lstrip, c.rstrip
		tok, err := New(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode("a <l> a <r> a", Options{}); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestOwnKeys: they are read.
func TestOwnKeys(t *testing.T) {
	const p = "tokenizer.ggml."
	v, err := ReadVocab(keys{p + "model": "llama", p + "eog_token_ids": []int32{7, 8}, p + "normalizer.nfc": true, p + "space_prefix": "first",
		p + "lstrip_token_ids": []int32{}, p + "rstrip_token_ids": []int32{3}})
	if err != nil || !slices.Equal(v.EOGs, []int32{7, 8}) || !v.NFC || v.SpacePrefix != "first" || v.LStrip == nil || !slices.Equal(v.RStrip, []int32{3}) {
		t.Errorf("%+v, %v", v, err)
	}
}
