package grammar

import (
	"errors"
	"strings"
	"testing"
)

// The texts of small grammars in the language of llama.cpp's examples, with
// what belongs to them and what does not.
var languages = map[string]struct {
	gbnf string
	yes  []string
	no   []string
}{
	"text":                    {`root ::= "yes"`, []string{"yes"}, []string{"", "ye", "yess", "Yes"}},
	"alternatives over lines": {"root ::= \"yes\" | # first\n  \"no\" |\n\"\"\n", []string{"yes", "no", ""}, []string{"n"}},
	"empty alternative":       {`root ::= | "a" root`, []string{"", "a", "aaa"}, []string{"b"}},
	"classes": {`root ::= [a-c] [^a-c] [-x] [\]\[\\"] [\x41-\u0043] .`,
		[]string{`ad-]A!`, "bé-[Bé", `cäx\C🙂`, "c\nx\"C\n"}, []string{`dd-]A!`, `aa-]A!`, `adx]D!`, `ad-]A`, "ad-]A\xff"}},
	"repetitions": {`root ::= "a"* "b"+ "c"? "d"{2} "e"{1,} "f"{0,2}`,
		[]string{"bdde", "aabbcddeeeff"}, []string{"dde", "bde", "bddde", "bccdde", "bdd", "bddefff"}},
	"spaces in repetitions":   {"root ::= \"ab\"{ 1 , 2 }", []string{"ab", "abab"}, []string{"", "ababab"}},
	"repeated repetitions":    {`root ::= "a"{2}{3}`, []string{"aaaaaa"}, []string{"aaaaa", "aaaaaaa"}},
	"repeated groups":         {`root ::= (("a" | "bc") "d"){2,3}`, []string{"adbcd", "adadad"}, []string{"ad", "adadadad"}},
	"repetition of the empty": {`root ::= ("a"?){3} ("b"*)* (("c"?){2})+`, []string{"", "aaa", "abbcc", "ccccc"}, []string{"aaaa", "ca"}},
	"zero times":              {`root ::= "a"{0} "b"`, []string{"b"}, []string{"ab"}},
	"names":                   {"root ::= a-b1 a_c\na-b1 ::= \"x\"\na_c ::= \"y\"", []string{"xy"}, []string{"x"}},
	"escapes":                 {`root ::= "\x41\u00e9\U0001F642\n\t\r\\\"\[\]"`, []string{"Aé🙂\n\t\r\\\"[]"}, []string{"A"}},
	"windows line ends":       {"root ::= a\r\na ::= \"x\"\r\n", []string{"x"}, []string{"x\r"}},
	"group over lines":        {"root ::= (\n  \"a\" # one\n  \"b\"\n | \"c\"\n)*\n", []string{"", "abc"}, []string{"a"}},
	"any characters": {`root ::= .*`, []string{"", "é🙂\n\x00\u07ff\u0800\ud7ff\ue000\uffff\U0010ffff"},
		[]string{"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "é\xc3"}},
	"nesting": {`root ::= "(" root ")" root | ""`, []string{"", "()", "(())()"}, []string{"(", ")", "(()"}},
	"arithmetic": {`
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*`, []string{"1+2=3\n", "a*(b -3) = c\n\n2=2\n"}, []string{"1+=3\n", "(1=2\n", "1+2=3"}},
	"list": {`root ::= item+
item ::= "- " [^\r\n\x0b\x0c\x85\u2028\u2029]+ "\n"`, []string{"- one\n- zwei 🙂\n"}, []string{"- one", "one\n", "- \n"}},
	"chess": {`
root   ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")*
move   ::= (pawn | piece | castle) [+#]?
piece  ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?`, []string{"1. e4 e5\n", "1. e4 e5\n2. Nf3 Nc6\n3. O-O-O Qxd5+\n"}, []string{"1. e9 e5\n", "1. e4\n"}},
	"json": {`
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}`,
		[]string{`{}`, `{"a": [1, -2.5e3, "x\"\u00e9ß", null, {"b":{}}]}`}, []string{`{`, `[]`, `{"a"}`, `{a:1}`, `{"a":01}`, `{"a":1,}`, "{\"\n\":1}"}},
	"a recursion that is ambiguous": {`root ::= "a" root "b" | "a" root "c" | "a"`, []string{"a", "aab", strings.Repeat("a", 300) + strings.Repeat("bc", 149) + "b"}, []string{"ab", "aabb"}},
	"palindromes":                   {`root ::= "a" root "a" | "b" root "b" | ""`, []string{"", "abba", "aaaaaa"}, []string{"ab", "aba"}},
	"several ways to end": {`root ::= a a a
a ::= "x" | "xx" | ""`, []string{"", "x", "xxxxxx"}, []string{"xxxxxxx"}},
	"nullable rules in front": {"root ::= e e (\"w\" root \"x\" | \"y\")\ne ::= \"\" | \"z\"", []string{"y", "zzy", "wyx", "zzwzyx"}, []string{"x", "zzzy"}},
}

func TestLanguages(t *testing.T) {
	for name, l := range languages {
		g, err := Parse(l.gbnf)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, text := range l.yes {
			if err := g.Matches(text); err != nil {
				t.Errorf("%s: %q is refused: %v", name, text, err)
			}
		}
		for _, text := range l.no {
			if g.Matches(text) == nil {
				t.Errorf("%s: %q is accepted", name, text)
			}
		}
	}
}

func TestParseRefusals(t *testing.T) {
	deep := strings.Repeat("(", 101) + strings.Repeat(")", 101)
	for _, c := range []struct {
		gbnf         string
		line, column int
		want         string
	}{
		{"", 1, 1, `"root" is missing`},
		{"a ::= \"x\"", 1, 1, `"root" is missing`},
		{"root ::= a", 1, 10, `"a" is used and not defined`},
		{"# é\nroot ::= \"é\" nope", 2, 14, `"nope" is used and not defined`},
		{"root ::= \"a\"\nroot ::= \"b\"", 2, 1, "a second time"},
		{"root ::= \"a", 1, 10, `" is missing`},
		{"root ::= \"a\n\"", 1, 10, `" is missing`},
		{"root ::= [a", 1, 10, "] is missing"},
		{"root ::= []", 1, 10, "no character"},
		{`root ::= [^\x00-\U0010FFFF]`, 1, 10, "no character"},
		{"root ::= [z-a]", 1, 11, "z-a is empty"},
		{"root ::= (\"a\"", 1, 10, ") is missing"},
		{"root ::= (\"a\" $)", 1, 15, "found '$'"},
		{"root ::= \"a\")", 1, 13, "found ')'"},
		{"root ::= *", 1, 10, "repeats nothing"},
		{"root ::= {3}", 1, 10, "repeats nothing"},
		{"root ::= \"a\"{}", 1, 14, "number of times"},
		{"root ::= \"a\"{,3}", 1, 14, "number of times"},
		{"root ::= \"a\"{3", 1, 15, "want } at the end"},
		{"root ::= \"a\"{3,2}", 1, 13, "less than the first"},
		{"root ::= \"a\"{100001}", 1, 14, "at most 100000"},
		{"root ::= \"a\"{99999999999999999999}", 1, 14, "at most 100000"},
		{`root ::= "\q"`, 1, 11, `unknown escape \q`},
		{`root ::= "\`, 1, 11, "unknown escape"},
		{`root ::= "\x4"`, 1, 11, "2 hexadecimal digits"},
		{`root ::= "\ud800"`, 1, 11, "U+D800 is no character"},
		{`root ::= "\U00110000"`, 1, 11, "U+110000 is no character"},
		{"root ::= <[12]>", 1, 10, "tokens"},
		{"root = \"a\"", 1, 6, "want ::="},
		{"root ::= a b ::= \"x\"", 1, 12, `"b" begins inside`},
		{"::= \"x\"", 1, 1, "want a rule"},
		{"root ::= \"a\xff\"", 1, 12, "no UTF-8"},
		{"root ::= " + deep, 1, 110, "more than 100 deep"},
		{"root ::= \"a\"" + strings.Repeat("?", 101), 1, 113, "more than 100 repetitions"},
		{"root ::= root \"a\" | \"b\"", 1, 1, "left recursion: root → root"},
		{"root ::= \"a\" | b\nb ::= c \"x\"\nc ::= \"\" d* b", 3, 1, "left recursion: b → c → b"},
		{"root ::= (root | \"a\")*", 1, 1, "left recursion"},
		{"root ::= e root \"x\" | \"y\"\ne ::= \"z\"?", 1, 1, "left recursion: root → root"},
		{"root ::= \"a\" root", 1, 1, "has no end"},
		{"root ::= \"a\" | b\nb ::= \"c\" b \"d\"", 2, 1, `"b" has no end`},
		{"root ::= (a a){50000}\na ::= (b b){50000}\nb ::= (\"x\" \"yy\" \"zz\"){90000} (root2){99999}\nroot2 ::= \"q\"{50000} \"r\"{50000}", 1, 1, "too large"},
		{strings.Repeat(" ", maxSource+1), 1, 1, "at most 1048576"},
	} {
		if len(c.gbnf) < 100 && strings.Contains(c.gbnf, "d*") {
			c.gbnf += "\nd ::= \"d\""
		}
		_, err := Parse(c.gbnf)
		var e *SyntaxError
		if !errors.As(err, &e) || e.Line != c.line || e.Column != c.column || !strings.Contains(e.Msg, c.want) {
			t.Errorf("%.60q: %v, want line %d, column %d: %s", c.gbnf, err, c.line, c.column, c.want)
		}
	}
}

// FuzzParse: a grammar is refused with its place, or compiles and matches in
// bounded time.
func FuzzParse(f *testing.F) {
	for _, l := range languages {
		f.Add(l.gbnf, "ab(1+2)")
	}
	f.Fuzz(func(t *testing.T, gbnf, text string) {
		g, err := Parse(gbnf)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%v", err)
			}
			return
		}
		g.Matches(text)
	})
}
