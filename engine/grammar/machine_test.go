package grammar

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/gguf"
)

// words is a small vocabulary: every byte, some words, and two ends.
type words []string

func newWords(list ...string) words {
	w := words{"", "</s>", "<|im_end|>"}
	for b := range 256 {
		w = append(w, string([]byte{byte(b)}))
	}
	return append(w, list...)
}

func (w words) Len() int              { return len(w) }
func (w words) Piece(id int32) []byte { return []byte(w[id]) }
func (w words) IsEOG(id int32) bool   { return id == 1 || id == 2 }

// realVocabulary reads the tokenizer of a model that the tests fetch, or one
// of those that the tokenizer's tests have.
func realVocabulary(t testing.TB, name string) *tokenizer.Tokenizer {
	t.Helper()
	f, err := openVocabulary(name)
	if err != nil {
		t.Skipf("no %s: make testdata brings the models, LLCUDA_MODELS names their folder", name)
	}
	t.Cleanup(func() { f.Close() })
	tok, err := tokenizer.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func openVocabulary(name string) (*gguf.File, error) {
	if !strings.HasSuffix(name, ".gz") {
		return gguf.Open(filepath.Join(os.Getenv("LLCUDA_MODELS"), name))
	}
	file, err := os.Open(filepath.Join("../tokenizer/testdata", name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return gguf.Parse(data)
}

const (
	llama = "ggml-vocab-llama-bpe.gguf.gz" // of Llama 3
	gemma = "gemma-3-270m-q4_k_m.gguf"
	smol  = "smollm2-135m-q4_1.gguf"
)

var vocabularies sync.Map

// vocabulary is that of a real model, sorted once.
func vocabulary(t testing.TB, name string) *Vocabulary {
	if v, ok := vocabularies.Load(name); ok {
		return v.(*Vocabulary)
	}
	v := NewVocabulary(realVocabulary(t, name))
	vocabularies.Store(name, v)
	return v
}

// A truth is the slow one: whether s is a text of g, or the beginning of one,
// tried one way after the other, character by character.
type truth struct {
	g     *Grammar
	begin bool
}

// try takes e from s, and then the rest.
func (o truth) try(e *expr, s string, then func(string) bool) bool {
	switch e.op {
	case opText:
		if len(s) < len(e.text) && strings.HasPrefix(e.text, s) {
			return o.begin
		}
		rest, ok := strings.CutPrefix(s, e.text)
		return ok && then(rest)
	case opClass:
		if s == "" {
			return o.begin
		}
		r, n := utf8.DecodeRuneInString(s)
		for _, c := range e.set {
			if r >= c.lo && r <= c.hi {
				return then(s[n:])
			}
		}
		return false
	case opSeq:
		if len(e.args) == 0 {
			return then(s)
		}
		return o.try(e.args[0], s, func(rest string) bool { return o.try(rowOf(e.args[1:]), rest, then) })
	case opAlt:
		for _, a := range e.args {
			if o.try(a, s, then) {
				return true
			}
		}
		return false
	case opRepeat:
		if e.min == 0 && then(s) {
			return true
		}
		if e.max == 0 {
			return false
		}
		less := repeat(e.args[0], max(e.min-1, 0), max(e.max-1, -1))
		if e.max < 0 {
			less.max = -1
		}
		return o.try(e.args[0], s, func(rest string) bool { return (len(rest) < len(s) || e.min > 0) && o.try(less, rest, then) })
	default:
		return o.try(o.g.rules[e.rule].body, s, then)
	}
}

func rowOf(args []*expr) *expr { return &expr{op: opSeq, args: args} }

func (o truth) of(s string) bool {
	return o.try(o.g.rules[0].body, s, func(rest string) bool { return rest == "" })
}

func prefix(g *Grammar, s string) bool { return truth{g, true}.of(s) }

// TestMachine walks at random through small grammars, and asks at each place
// for all tokens, by Allows, by Mask, and the slow truth.
func TestMachine(t *testing.T) {
	w := newWords("ab", "abab", "a}", "\"}", "\":", "\", \"", "{\"", " \"", "true", "ue, ", "1.", "12", "é", "é\"", "\xc3\xa9\"", "🙂🙂", "\x9f\x99", ")", "))", "(1", "+1=", "xx", "xxx", "O-O", "x\"\\u00", "\n\n", "  ")
	v := NewVocabulary(w)
	for name, l := range languages {
		if strings.Contains(name, "ambiguous") {
			continue // the slow truth is too slow
		}
		g, err := Parse(l.gbnf)
		if err != nil {
			t.Fatal(err)
		}
		m, borders := NewMachine(g, v), bordersOf(g)
		for seed := range uint64(10) {
			r := rand.New(rand.NewPCG(seed, 1))
			x := m.Matcher()
			for range 12 {
				next := compareWithTruth(t, name, g, borders, x, w)
				if len(next) == 0 {
					break
				}
				id := next[r.IntN(len(next))]
				if err := x.Accept(id); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if w.IsEOG(id) {
					break
				}
			}
		}
	}
}

// compareWithTruth returns the tokens that may follow.
func compareWithTruth(t *testing.T, name string, g *Grammar, borders []rune, x *Matcher, w words) (next []int32) {
	t.Helper()
	sofar := string(x.Text())
	logits := make([]float32, len(w)+3)
	x.Mask(logits)
	ends := utf8.ValidString(sofar) && truth{g, false}.of(sofar)
	if x.MayEnd() != ends {
		t.Fatalf("%s after %q: may end %v, want %v", name, sofar, x.MayEnd(), ends)
	}
	for id := range int32(len(logits)) {
		want := false
		switch {
		case int(id) >= len(w):
		case w.IsEOG(id):
			want = ends
		case id > 2:
			want = mayBegin(g, borders, sofar+w[id])
		}
		allows, masked := x.Allows(id), math.IsInf(float64(logits[id]), -1)
		if allows != want || masked == want {
			t.Fatalf("%s after %q, token %d: allows %v, masked %v, want %v", name, sofar, id, allows, masked, want)
		}
		if want {
			next = append(next, id)
		}
	}
	if done := ends && len(next) == 2; x.Done() != done {
		t.Errorf("%s after %q: done %v, want %v", name, sofar, x.Done(), done)
	}
	return next
}

// bordersOf is the first and last characters of all sets of g.
func bordersOf(g *Grammar) (all []rune) {
	var add func(e *expr)
	add = func(e *expr) {
		for _, s := range e.set {
			all = append(all, s.lo, s.hi)
		}
		all = append(all, []rune(e.text)...)
		for _, a := range e.args {
			add(a)
		}
	}
	for _, r := range g.rules {
		add(r.body)
	}
	return all
}

// completions are the first and last character that begin with some bytes.
func completions(tail string) (lo, hi rune) {
	n, r := 2, rune(tail[0]&0x1f)
	if tail[0] >= 0xe0 {
		n, r = 3, rune(tail[0]&0xf)
	}
	if tail[0] >= 0xf0 {
		n, r = 4, rune(tail[0]&7)
	}
	lo, hi = r, r
	for i := 1; i < n; i++ {
		l, h := rune(0), rune(0x3f)
		if i < len(tail) {
			l = rune(tail[i] & 0x3f)
			h = l
		}
		lo, hi = lo<<6|l, hi<<6|h
	}
	return max(lo, []rune{0, 0, 0x80, 0x800, 0x10000}[n]), min(hi, lastRune)
}

// mayBegin is prefix for text that may end inside a character: some character
// has to complete it. If one does, then one at the border of a set of g or of
// all that begin with these bytes.
func mayBegin(g *Grammar, borders []rune, s string) bool {
	for n := 1; n < 4 && n <= len(s); n++ {
		tail := s[len(s)-n:]
		if !utf8.RuneStart(tail[0]) {
			continue
		}
		if utf8.FullRuneInString(tail) {
			break
		}
		head := s[:len(s)-n]
		if !utf8.ValidString(head) {
			return false
		}
		lo, hi := completions(tail)
		for _, r := range append([]rune{lo, hi, 0xd7ff, 0xe000}, borders...) {
			if c := string(r); strings.HasPrefix(c, tail) && prefix(g, head+c) {
				return true
			}
		}
		return false
	}
	return utf8.ValidString(s) && prefix(g, s)
}

// TestRealVocabularies: Mask and Allows agree for each of a real vocabulary's
// tokens, at each place of a text.
func TestRealVocabularies(t *testing.T) {
	g, err := Parse(languages["json"].gbnf)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{smol, llama, gemma} {
		tok := realVocabulary(t, name)
		x := NewMachine(g, vocabulary(t, name)).Matcher()
		logits := make([]float32, tok.Len())
		for _, id := range tok.Encode(`{"name": "Zoë \"🙂\"", "list": [1, -2.5e3, true, {}]}`, tokenizer.Options{NoBOS: true, NoEOS: true}) {
			if len(x.Text()) == 0 && string(tok.Piece(id)) == " {" { // SentencePiece puts a space in front
				id, _ = tok.ID("{")
			}
			clear(logits)
			x.Mask(logits)
			for id := range int32(tok.Len()) {
				if x.Allows(id) != (logits[id] == 0) {
					t.Fatalf("%s after %q: token %d %q: allows %v", name, x.Text(), id, tok.Piece(id), x.Allows(id))
				}
			}
			if err := x.Accept(id); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !x.MayEnd() {
			t.Errorf("%s: %v", name, x)
		}
	}
}

// TestForget: a machine that forgets its states goes on as if nothing were.
func TestForget(t *testing.T) {
	g, err := Parse(`root ::= "[" (root ("," root)*)? "]" | "x"`)
	if err != nil {
		t.Fatal(err)
	}
	w := newWords("[[", "]]", "],[", "x,x")
	m := NewMachine(g, NewVocabulary(w))
	r := rand.New(rand.NewPCG(1, 2))
	x, other := m.Matcher(), m.Matcher()
	for range 300 {
		var next []int32
		for id := range int32(len(w)) {
			if x.Allows(id) {
				next = append(next, id)
			}
		}
		id := next[r.IntN(len(next))]
		if w.IsEOG(id) {
			break
		}
		if err := x.Accept(id); err != nil {
			t.Fatal(err)
		}
		if r.IntN(20) == 0 {
			m.automaton.size = maxBytes + 1
		}
		if !other.Allows('['+3) || other.Allows(']'+3) {
			t.Fatal("the matcher of the empty text has changed")
		}
	}
	if m.age == 0 {
		t.Error("nothing was forgotten")
	}
}

// TestAmbiguous: what can be read in many ways stays cheap, and what is worse
// is an error.
func TestAmbiguous(t *testing.T) {
	w := newWords()
	for gbnf, fails := range map[string]bool{
		`root ::= "a" root "b" | "a" root "c" | "a"`:                       false,
		`root ::= (("a"?){100}){100}`:                                      false,
		`root ::= ("a"{0,1000}){0,1000}`:                                   false,
		`root ::= (("a" | "aa"){0,1000}){0,1000}`:                          true,
		"root ::= \"a\" | \"a\" root root":                                 false,
		"root ::= a* b* a* b*\na ::= \"a\" a | \"\"\nb ::= \"a\" | \"aa\"": false,
	} {
		g, err := Parse(gbnf)
		if err != nil {
			t.Fatal(err)
		}
		x := NewMachine(g, NewVocabulary(w)).Matcher()
		var failure error
		logits := make([]float32, len(w))
		for range 200 {
			x.Mask(logits)
			if failure = x.Accept('a' + 3); failure != nil {
				break
			}
		}
		if (failure != nil) != fails || failure != nil && !strings.Contains(failure.Error(), "too ambiguous") {
			t.Errorf("%s: %v, want an error: %v", gbnf, failure, fails)
		}
		if failure != nil && (x.Allows('a'+3) || !strings.Contains(x.String(), "too ambiguous")) {
			t.Errorf("%s: goes on after %v", gbnf, failure)
		}
	}
}

func TestMatcherWords(t *testing.T) {
	g, err := Parse("root ::= \"{\" name \"}\"\nname ::= [a-z] [a-z0-9é]* | \"\\\"\"")
	if err != nil {
		t.Fatal(err)
	}
	w := newWords("{x")
	x := NewMachine(g, NewVocabulary(w)).Matcher()
	want := func(got fmt.Stringer, want string) {
		t.Helper()
		if got.String() != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	want(x, `at the start of the text (rule root), where "{" may follow`)
	for id, want := range map[int32]string{5: `token 5 ("\x02") cannot follow`, 1: "token 1 (the end) cannot", 0: "token 0 (no text)", -1: "outside the vocabulary", 1e9: "outside"} {
		if err := x.Accept(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := x.Accept(int32(len(w) - 1)); err != nil {
		t.Fatal(err)
	}
	want(x, `after "{x" (rule root, name), where "0" to "9" or "a" to "z" or "}" or a character beyond ASCII may follow`)
	y := x.Clone()
	if err := y.Accept('}' + 3); err != nil || !y.Done() || x.Done() {
		t.Errorf("%v, done %v and %v", err, y.Done(), x.Done())
	}
	want(y, `after "{x}", where the end may follow`)
	if err := y.Accept(2); err != nil || !y.Done() || y.Allows(2) {
		t.Errorf("after the end: %v", err)
	}
	want(y, `after "{x}", where the text has ended`)
}

// TestConcurrent: matchers of one machine may be used side by side.
func TestConcurrent(t *testing.T) {
	g, err := Parse(languages["json"].gbnf)
	if err != nil {
		t.Fatal(err)
	}
	w := newWords("{\"", "\": ", "true")
	m := NewMachine(g, NewVocabulary(w))
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			r, x := rand.New(rand.NewPCG(seed, 3)), m.Matcher()
			logits := make([]float32, len(w))
			for range 100 {
				clear(logits)
				x.Mask(logits)
				id := r.Int32N(int32(len(w)))
				for math.IsInf(float64(logits[id]), -1) {
					id = (id + 1) % int32(len(w))
				}
				if err := x.Accept(id); err != nil {
					t.Error(err)
					return
				}
				if w.IsEOG(id) {
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkMask and BenchmarkAllows: the JSON grammar, at the places of a
// text. "first" computes each place anew, "again" has been there.
func BenchmarkMask(b *testing.B) {
	g, err := Parse(languages["json"].gbnf)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{smol, llama, gemma} {
		v := vocabulary(b, name)
		logits := make([]float32, v.pieces.Len())
		for _, text := range []string{``, `{"na`, `{"name": `, `{"name": "Zo`, `{"name": "Zoe"`, `{"a": [1, 23`} {
			b.Run(strings.TrimPrefix(name, "ggml-vocab-")[:5]+"/"+text+"/first", func(b *testing.B) {
				for b.Loop() {
					matcherAfter(b, g, v, text).Mask(logits)
				}
			})
			b.Run(strings.TrimPrefix(name, "ggml-vocab-")[:5]+"/"+text+"/again", func(b *testing.B) {
				x := matcherAfter(b, g, v, text)
				for b.Loop() {
					x.Mask(logits)
				}
			})
		}
	}
}

// BenchmarkMaskSchema: the second object of a list, in whose string the
// machine has not been, and a string of bounded length.
func BenchmarkMaskSchema(b *testing.B) {
	g, err := FromSchema([]byte(`{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string","maxLength":300}},"required":["a","b","c"]}}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{smol, llama, gemma} {
		v := vocabulary(b, name)
		logits := make([]float32, v.pieces.Len())
		for _, c := range []struct{ name, before, text string }{
			{"another string", `[{"a":"x`, `[{"a":"x","b":"y`},
			{"after a string", `[{"a":"x`, `[{"a":"x","b":"y"`},
			{"bounded string", `[{"a":"x","b":"y","c":"`, `[{"a":"x","b":"y","c":"` + "zzzzzzzzzz"},
		} {
			b.Run(strings.TrimPrefix(name, "ggml-vocab-")[:5]+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					x := matcherAfter(b, g, v, c.before)
					x.Mask(logits)
					for _, r := range c.text[len(c.before):] {
						x.state = x.m.automaton.step(x.state, byte(r))
					}
					b.StartTimer()
					x.Mask(logits)
				}
			})
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	g, err := Parse(languages["json"].gbnf)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{smol, llama, gemma} {
		v := vocabulary(b, name)
		x := matcherAfter(b, g, v, `{"name": "Zo`)
		b.Run(strings.TrimPrefix(name, "ggml-vocab-")[:5], func(b *testing.B) {
			id := int32(0)
			for b.Loop() {
				x.Allows(id % int32(v.pieces.Len()))
				id += 7
			}
		})
	}
}

func BenchmarkVocabulary(b *testing.B) {
	for _, name := range []string{smol, llama, gemma} {
		tok := realVocabulary(b, name)
		b.Run(strings.TrimPrefix(name, "ggml-vocab-")[:5], func(b *testing.B) {
			for b.Loop() {
				NewVocabulary(tok)
			}
		})
	}
}

// matcherAfter is a matcher of a new machine that has accepted text.
func matcherAfter(t testing.TB, g *Grammar, v *Vocabulary, text string) *Matcher {
	t.Helper()
	x := NewMachine(g, v).Matcher()
	for i := range len(text) {
		x.state = x.m.automaton.step(x.state, text[i])
	}
	x.text = []byte(text)
	return x
}

// TestManyValues: an enum of many values, all alike at the start.
func TestManyValues(t *testing.T) {
	var list []string
	for i := range 20000 {
		list = append(list, fmt.Sprintf(`"value number %d"`, i))
	}
	g, err := FromSchema([]byte(`{"enum":[` + strings.Join(list, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{list[0], list[1234], list[19999]} {
		if err := g.Matches(text); err != nil {
			t.Error(err)
		}
	}
	if g.Matches(`"value number 20000"`) == nil {
		t.Error("20000 is accepted")
	}
}

// TestBounded: Mask and Allows agree at each place of strings whose length is
// bounded, in grammars of repetitions of all kinds.
func TestBounded(t *testing.T) {
	small := NewVocabulary(newWords("a", "aa", "aaa", "aaaa", strings.Repeat("a", 9), "aé", "éé", "ééé\"", "a\"", "aa\"", "aaaa\",", "aaaaaaaa\"", "ab", "bb", "\xa9a", "\xa9aaaa\"", "\\n", "\\na", "aa\\n", "\n\"", "aaaaaaaaa\"]"))
	for _, gbnf := range []string{
		`root ::= "\"" [^"]{5,14} "\"" "]"?`,
		`root ::= "\"" ([^"\\] | "\\" [n"]){0,20} "\"," `,
		`root ::= "\"" x{12} "b" "\""
x ::= "a" | "aa" | "é"`,
		`root ::= "\"" x{9,18} "\""
x ::= "a"?`,
		`root ::= "\"" ("a"{8,10} | [ab]{9,30}) "\""`,
		`root ::= "\"" ("a"{8}){9} "\""`,
	} {
		g, err := Parse(gbnf)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 7))
		m := NewMachine(g, small)
		for range 6 {
			x := m.Matcher()
			for range 25 {
				if next := sameAsAllows(t, x); len(next) > 0 {
					x.Accept(next[r.IntN(len(next))])
				}
			}
		}
	}
	g, err := FromSchema([]byte(`{"type":"string","minLength":7,"maxLength":40}`))
	if err != nil {
		t.Fatal(err)
	}
	x := NewMachine(g, vocabulary(t, smol)).Matcher()
	for _, s := range `"abcdéfg hi jklmno pqrst uvwxyz 12345` {
		sameAsAllows(t, x)
		for _, b := range []byte(string(s)) {
			x.state = x.m.automaton.step(x.state, b)
		}
	}
}

// sameAsAllows compares Mask with Allows for each token, and returns those
// that may follow and are no end.
func sameAsAllows(t *testing.T, x *Matcher) (next []int32) {
	t.Helper()
	logits := make([]float32, x.m.v.pieces.Len())
	x.Mask(logits)
	for id := range int32(len(logits)) {
		if x.Allows(id) != (logits[id] == 0) {
			t.Fatalf("token %q is allowed: %v, and in the mask: %v; %v", x.m.v.pieces.Piece(id), x.Allows(id), logits[id] == 0, x)
		}
		if logits[id] == 0 && !x.m.v.pieces.IsEOG(id) {
			next = append(next, id)
		}
	}
	return next
}
