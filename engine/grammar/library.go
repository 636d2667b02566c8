package grammar

import "sync"

// library is what schemas have in common, in GBNF. Strings may hold any
// character, also escaped, but no half of a surrogate pair: what a reader makes
// of them is valid Unicode.
const library = `
root     ::= value date time date-time duration email hostname ipv4 ipv6 uuid uri
value    ::= object | array | string | number | "true" | "false" | "null"
object   ::= "{" ws (member ("," ws member)*)? ws "}"
member   ::= string ":" ws value
array    ::= "[" ws (value ("," ws value)*)? ws "]"
string   ::= "\"" char* "\""
char     ::= plain | "\\" (["\\/bfnrt] | "u" code)
plain    ::= [^"\\\x00-\x1F]
code     ::= [0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}
hex      ::= [0-9a-fA-F]
number   ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?
integer  ::= "-"? [1-9] [0-9]{0,17} | "0"
ws       ::= (" " | "\n" [ \t]{0,20})?

date      ::= (year "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" (day28 | "29" | "30" | "31") |
              ("04" | "06" | "09" | "11") "-" (day28 | "29" | "30") | "02-" day28)) | leap "-02-29"
year      ::= "000" [1-9] | "00" [1-9] [0-9] | "0" [1-9] [0-9]{2} | [1-9] [0-9]{3}
leap      ::= [0-9]{2} ("0" [48] | [2468] [048] | [13579] [26]) | ("0" [48] | [2468] [048] | [13579] [26]) "00"
day28     ::= "0" [1-9] | "1" [0-9] | "2" [0-8]
time      ::= clock ("." [0-9]{1,6})? ("Z" | [-+] hours ":" sixty)
clock     ::= hours ":" sixty ":" sixty
hours     ::= [01] [0-9] | "2" [0-3]
sixty     ::= [0-5] [0-9]
date-time ::= date "T" time
duration  ::= "P" (days ("T" clocks)? | "T" clocks | count "W")
days      ::= count "Y" (count "M" (count "D")?)? | count "M" (count "D")? | count "D"
clocks    ::= count "H" (count "M" (count "S")?)? | count "M" (count "S")? | count "S"
count     ::= "0" | [1-9] [0-9]{0,8}
email     ::= [A-Za-z0-9] [A-Za-z0-9_+-]{0,30} ("." [A-Za-z0-9_+-]{1,15}){0,2} "@" (label ".") {1,3} [a-z]{2,12}
hostname  ::= (label "."){0,3} label0
label0    ::= [A-Za-z] [A-Za-z0-9]{0,20} ("-" [A-Za-z0-9]{1,20})?
label     ::= [A-Za-z0-9]{1,20} ("-" [A-Za-z0-9]{1,20}){0,2}
ipv4      ::= octet "." octet "." octet "." octet
octet     ::= "25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9]? [0-9]
ipv6      ::= (group ":"){7} group | "::" | "::" group (":" group){0,4} | group "::" group (":" group){0,3} | (group ":"){1,6} ":"
group     ::= hex{1,4}
uuid      ::= hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}
uri       ::= [a-zA-Z] [a-zA-Z0-9+.-]{0,20} "://" hostname (":" [1-9] [0-9]{0,3})? ("/" path*)* ("?" query*)? ("#" query*)?
path      ::= [A-Za-z0-9._~!$&'()*+,;=:@-] | "%" hex{2}
query     ::= path | [/?]
`

// libraryGrammar is the library, read once; its root is of no use.
var libraryGrammar = sync.OnceValue(func() *Grammar {
	g, err := Parse(library)
	if err != nil {
		panic(err) // it is ours
	}
	return g
})

// library refers to a rule of the library, which becomes one of the grammar
// with those that it uses.
func (b *builder) library(name string) *expr {
	if i, ok := b.lib[name]; ok {
		return ref(i)
	}
	g := libraryGrammar()
	i := b.rule(name, "#")
	b.lib[name] = i
	for _, r := range g.rules {
		if r.name == name {
			b.rules[i].body = g.copied(r.body, b.library)
		}
	}
	return ref(i)
}

// copied is e with references to the rules that to gives for names.
func (g *Grammar) copied(e *expr, to func(name string) *expr) *expr {
	if e.op == opRule {
		return to(g.rules[e.rule].name)
	}
	c := *e
	c.args = make([]*expr, len(e.args))
	for i, a := range e.args {
		c.args[i] = g.copied(a, to)
	}
	return &c
}
