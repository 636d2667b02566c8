package tokenizer

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The hashes are llama.cpp's (October 2026; testdata/hashes.py made them): sha256 of the ids of
// the mixed text as little-endian int32, and of the bytes that llama_detokenize makes of them.

// readHashes reads lines of fields, the first of which is the key.
func readHashes(t *testing.T, path string) (lines [][]string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, strings.Fields(s.Text()))
	}
	return lines
}

func hashIDs(ids []int32) string {
	b, err := binary.Append(nil, binary.LittleEndian, ids)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// TestMixed encodes 1 MB of everything with real vocabularies: as plain text, and with control tokens and BOS.
func TestMixed(t *testing.T) {
	text := mixed(1 << 20)
	for _, line := range readHashes(t, "testdata/mixed.sha256") {
		name, plain, decoded, special := line[0], line[1], line[2], line[3]
		t.Run(name, func(t *testing.T) {
			path := "testdata/" + name
			if !strings.HasSuffix(name, ".gz") {
				path = modelPath(t, name)
			}
			tok := load(t, path)
			ids := tok.Encode(text, Options{NoBOS: true, NoEOS: true})
			if got := hashIDs(ids); got != plain {
				t.Errorf("%d ids hash to %s, want %s", len(ids), got, plain)
			}
			back := tok.DecodeWith(ids, DecodeOptions{Special: true, Clean: true})
			if got := fmt.Sprintf("%x", sha256.Sum256([]byte(back))); got != decoded {
				t.Errorf("%d bytes decoded hash to %s, want %s", len(back), got, decoded)
			}
			if got := hashIDs(tok.Encode(text, Options{Special: true})); got != special {
				t.Errorf("ids with control tokens hash to %s, want %s", got, special)
			}
		})
	}
}

// TestPreTokenizers encodes with a vocabulary of all bytes and all pairs of bytes. A border between two words in another
// place changes which bytes pair up, so the ids show each one.
func TestPreTokenizers(t *testing.T) {
	text := mixed(1 << 18)
	base, err := New(pairVocab("gpt-2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range readHashes(t, "testdata/pre.sha256") {
		name, want := line[0], line[1]
		t.Run(name, func(t *testing.T) {
			tok := renamed(t, base, name)
			if got := hashIDs(tok.Encode(text, Options{})); got != want {
				t.Errorf("ids hash to %s, want %s", got, want)
			}
		})
	}
}

// renamed is a byte-level tokenizer with another pre-tokenizer.
func renamed(t *testing.T, base *Tokenizer, name string) *Tokenizer {
	t.Helper()
	p, err := preTokenizer(name)
	if err != nil {
		t.Fatal(err)
	}
	tok := &Tokenizer{v: base.v, attr: base.attr, pieces: base.pieces, ends: base.ends, ids: base.ids, pairs: base.pairs, bytes: base.bytes, first: base.first,
		user: base.user, special: base.special, pre: p}
	tok.encoders.New = func() any { return newEncoder(tok) }
	return tok
}

// pairVocab is a byte-level BPE vocabulary: bytes, then every pair of bytes, each with its merge, in order.
func pairVocab(pre string) Vocab {
	var bytes [256]string
	for r, b := range disguised {
		if b >= 0 {
			bytes[b] = string(rune(r))
		}
	}
	v := Vocab{Model: "gpt2", Pre: pre, BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1, PAD: -1, SEP: -1}
	v.Tokens = append(v.Tokens, bytes[:]...)
	for _, a := range bytes {
		for _, b := range bytes {
			v.Tokens = append(v.Tokens, a+b)
			v.Merges = append(v.Merges, a+" "+b)
		}
	}
	return v
}
