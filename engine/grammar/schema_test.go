package grammar

import (
	"errors"
	"strings"
	"testing"
)

// schemas, with texts that their grammars have, and texts that they lack:
// invalid ones, or valid ones that are written otherwise.
var schemas = map[string]struct {
	schema string
	yes    []string
	no     []string
}{
	"any value":    {`{}`, []string{`1`, `"a"`, `{"a":[1,null,true,{}]}`, `-0.5e+10`, `"\u00e9\ud83d\ude42\/"`}, []string{``, `01`, `"\ud800"`, `"\ude42"`, "\"\t\"", ` 1`, `1 `, `[1,]`, "{\"a\":\n\n1}"}},
	"true":         {`true`, []string{`null`, `[]`}, []string{`nul`}},
	"spaces":       {`{"type":"array"}`, []string{"[\n  1,\n  2\n]", `[ 1, 2 ]`, "[]"}, []string{"[  1]", "[1]\n", "[1 ,2]"}},
	"object":       {`{"type":"object"}`, []string{`{}`, `{"a":1,"b":{"c":[]}}`}, []string{`[]`, `{a:1}`}},
	"properties":   {`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"null"}},"required":["b"],"additionalProperties":false}`, []string{`{"b":""}`, `{"a":1,"b":"x","c":null}`, `{"b":"x", "c": null}`, `{"a":-3,"b":""}`}, []string{`{}`, `{"a":1}`, `{"b":1}`, `{"c":null,"b":""}`, `{"b":"","d":1}`, `{"b":"",}`}},
	"all optional": {`{"properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}}}`, []string{`{}`, `{"a":1}`, `{"b":1}`, `{"c":1}`, `{"a":1,"c":2}`, `{"a":1,"b":2,"c":3}`, `{"b":1,"c":2}`}, []string{`{"a":1,"a":1}`, `{"b":1,"a":2}`, `{,"a":1}`}},
	"further properties": {`{"properties":{"a":{"type":"integer"},"ab":{"type":"integer"}},"required":["a"],"additionalProperties":{"type":"boolean"}}`,
		[]string{`{"a":1}`, `{"a":1,"b":true}`, `{"a":1,"ab":2,"abc":true,"":false,"é":true}`, `{"a":1,"b":true,"b":false}`},
		[]string{`{"b":true}`, `{"a":1,"a":true}`, `{"a":1,"ab":true}`, `{"a":1,"b":1}`, `{"a":1,"\u0061b":true}`}},
	"map":                         {`{"type":"object","additionalProperties":{"type":"integer","minimum":0}}`, []string{`{}`, `{"x":1,"\u0061":2}`}, []string{`{"x":-1}`}},
	"map of one or two":           {`{"type":"object","additionalProperties":{"type":"null"},"minProperties":1,"maxProperties":2}`, []string{`{"x":null}`, `{"x":null,"y":null}`}, []string{`{}`, `{"x":null,"y":null,"z":null}`}},
	"at least one":                {`{"properties":{"a":{"type":"null"},"b":{"type":"null"}},"minProperties":1}`, []string{`{"a":null}`, `{"b":null}`, `{"a":null,"b":null}`}, []string{`{}`}},
	"required without properties": {`{"type":"object","required":["x"],"additionalProperties":{"type":"null"}}`, []string{`{"x":null}`, `{"x":null,"y":null}`}, []string{`{}`, `{"y":null}`}},
	"names to be escaped":         {`{"properties":{"a\"b":{"type":"null"},"é\n":{"type":"null"}},"required":["a\"b","é\n"]}`, []string{`{"a\"b":null,"é\n":null}`}, []string{`{}`}},
	"array":                       {`{"type":"array","items":{"type":"boolean"},"minItems":1,"maxItems":3}`, []string{`[true]`, `[true,false,true]`}, []string{`[]`, `[1]`, `[true,true,true,true]`}},
	"tuple":                       {`{"prefixItems":[{"type":"string"},{"type":"integer"}]}`, []string{`["a",1]`}, []string{`["a"]`, `["a",1,2]`, `[]`}},
	"tuple and more":              {`{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":{"type":"null"},"minItems":1,"maxItems":4}`, []string{`["a"]`, `["a",1]`, `["a",1,null,null]`}, []string{`[]`, `["a",null]`, `["a",1,null,null,null]`}},
	"tuple of draft 7":            {`{"type":"array","items":[{"type":"string"}],"additionalItems":{"type":"null"}}`, []string{`["a"]`, `["a",null]`}, []string{`[]`, `["a","b"]`}},
	"enum":                        {`{"enum":["a","b c",1,null,{"x":[1]}]}`, []string{`"a"`, `"b c"`, `1`, `null`, `{"x":[1]}`}, []string{`"c"`, `a`, `2`}},
	"enum of a type":              {`{"type":"integer","minimum":2,"enum":["a",1,2,3.5,null]}`, []string{`2`}, []string{`1`, `3.5`, `null`, `"a"`}},
	"const":                       {`{"const":"x\"y"}`, []string{`"x\"y"`}, []string{`"x"`}},
	"types":                       {`{"type":["string","null"],"maxLength":1}`, []string{`""`, `"é"`, `"\ud83d\ude42"`, `null`}, []string{`"ab"`, `1`}},
	"boolean":                     {`{"type":"boolean"}`, []string{`true`, `false`}, []string{`null`}},
	"anyOf":                       {`{"anyOf":[{"type":"integer"},{"const":"x"}]}`, []string{`1`, `"x"`}, []string{`"y"`}},
	"anyOf of parts":              {`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}`, []string{`{"a":1}`, `{"b":1}`, `{"a":1,"b":2}`}, []string{`{}`}},
	"oneOf by type":               {`{"oneOf":[{"type":"integer"},{"type":"string"}]}`, []string{`1`, `"x"`}, []string{`1.5`}},
	"oneOf by tag": {`{"oneOf":[{"$ref":"#/$defs/cat"},{"$ref":"#/$defs/dog"}],"$defs":{
"cat":{"type":"object","properties":{"kind":{"const":"cat"},"lives":{"type":"integer"}},"required":["kind","lives"]},
"dog":{"type":"object","properties":{"kind":{"const":"dog"},"name":{"type":"string"}},"required":["kind"]}}}`,
		[]string{`{"kind":"cat","lives":9}`, `{"kind":"dog"}`, `{"kind":"dog","name":""}`}, []string{`{"kind":"cat"}`, `{"kind":"cow"}`, `{"kind":"cat","name":""}`}},
	"allOf": {`{"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":0}},"required":["a"]},{"properties":{"a":{"maximum":5},"b":{"type":"null"}},"required":["b"]}]}`,
		[]string{`{"a":0,"b":null}`, `{"a":5,"b":null}`}, []string{`{"a":6,"b":null}`, `{"a":-1,"b":null}`, `{"a":1}`}},
	"allOf that closes":  {`{"allOf":[{"properties":{"a":{"type":"null"}},"additionalProperties":false},{"properties":{"b":{"type":"null"}}}]}`, []string{`{}`, `{"a":null}`}, []string{`{"b":null}`}},
	"reference and more": {`{"$ref":"#/$defs/n","maximum":9,"$defs":{"n":{"type":"integer","minimum":7}}}`, []string{`7`, `9`}, []string{`6`, `10`}},
	"recursion": {`{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}}`,
		[]string{`{"v":1,"next":null}`, `{"v":1,"next":{"v":2,"next":{"v":3,"next":null}}}`}, []string{`{"v":1}`, `{"v":1,"next":{}}`}},
	"recursion of the whole":      {`{"type":"array","items":{"$ref":"#"}}`, []string{`[]`, `[[],[[]]]`}, []string{`[1]`}},
	"a name with slashes":         {`{"$ref":"#/$defs/a~1b%20c","$defs":{"a/b c":{"type":"null"}}}`, []string{`null`}, []string{`1`}},
	"lengths":                     {`{"type":"string","minLength":2,"maxLength":3}`, []string{`"ab"`, `"äöü"`, `"\n\t"`, `"\ud83d\ude42b"`}, []string{`"a"`, `"abcd"`, `"\ud83d\ude42"`}},
	"pattern":                     {`{"type":"string","pattern":"^[A-Z]{2}-\\d+$"}`, []string{`"AB-1"`, `"XY-123"`}, []string{`"AB-"`, `"ab-1"`, `"AB-1 "`}},
	"pattern inside":              {`{"pattern":"b+"}`, []string{`"b"`, `"abc"`, `"bb"`, `"\nb\\"`}, []string{`""`, `"a"`}},
	"pattern of ways":             {`{"pattern":"^a|b$"}`, []string{`"a"`, `"axx"`, `"b"`, `"xxb"`}, []string{`"xa"`, `"bx"`}},
	"pattern in groups":           {`{"pattern":"^(?:a|(b))*(?<n>c)?$"}`, []string{`""`, `"abc"`, `"c"`}, []string{`"cc"`, `"ca"`}},
	"pattern to be escaped":       {`{"pattern":"^[\"\\\\]\\/\\u00e9\\x41.\\n$"}`, []string{`"\"/éAx\n"`, `"\\/éA\"\n"`, `"\\/éA\t\n"`}, []string{`"\"/éA\n\n"`, `""/éAx"`}},
	"pattern and lengths":         {`{"pattern":"^[a-z]+$","minLength":2,"maxLength":3}`, []string{`"ab"`, `"abc"`}, []string{`"a"`, `"abcd"`, `"A2"`}},
	"pattern that keeps lengths":  {`{"pattern":"^(ab|cde)f?$","minLength":1,"maxLength":4}`, []string{`"ab"`, `"cdef"`}, []string{`"f"`}},
	"pattern of what is no space": {`{"pattern":"^\\S+$"}`, []string{`"aé🙂"`}, []string{`"a b"`, `"a\u00a0"`, "\"\u00a0\"", "\"\u2003\""}},
	"date":                        {`{"type":"string","format":"date"}`, []string{`"2024-02-29"`, `"2000-02-29"`, `"1999-12-31"`, `"0001-01-01"`}, []string{`"2023-02-29"`, `"1900-02-29"`, `"2024-04-31"`, `"0000-01-01"`, `"2024-13-01"`, `"2024-1-1"`}},
	"date-time":                   {`{"format":"date-time"}`, []string{`"2024-02-29T23:59:59Z"`, `"2024-01-01T00:00:00.123+05:30"`}, []string{`"2024-01-01T24:00:00Z"`, `"2024-01-01 00:00:00Z"`, `"2024-01-01T00:00:00"`}},
	"time":                        {`{"format":"time"}`, []string{`"12:00:00Z"`}, []string{`"12:60:00Z"`}},
	"duration":                    {`{"format":"duration"}`, []string{`"P1Y2M3DT4H5M6S"`, `"P3W"`, `"PT5S"`}, []string{`"P"`, `"PT"`, `"P1YT"`, `"P1D1Y"`}},
	"uuid":                        {`{"format":"uuid"}`, []string{`"123e4567-e89b-12d3-a456-426614174000"`}, []string{`"123e4567e89b12d3a456426614174000"`}},
	"email":                       {`{"format":"email"}`, []string{`"jo.doe+x@mail.example.org"`}, []string{`"@x.org"`, `"a@b"`, `"a@@b.org"`}},
	"ipv4":                        {`{"format":"ipv4"}`, []string{`"192.168.0.255"`}, []string{`"256.1.1.1"`, `"01.1.1.1"`}},
	"ipv6":                        {`{"format":"ipv6"}`, []string{`"::"`, `"::1"`, `"fe80::1"`, `"1:2:3:4:5:6:7:8"`, `"1::"`}, []string{`"1:2"`, `":::"`}},
	"uri":                         {`{"format":"uri"}`, []string{`"https://example.org:8080/a/b?c=d#e"`}, []string{`"example"`}},
	"integer":                     {`{"type":"integer"}`, []string{`0`, `-1`, `123456789012345678`}, []string{`-0`, `1.0`, `1e3`, `1234567890123456789`}},
	"int32":                       {`{"type":"integer","format":"int32"}`, []string{`2147483647`, `-2147483648`}, []string{`2147483648`, `-2147483649`}},
	"number":                      {`{"type":"number"}`, []string{`0`, `-0.25`, `1e10`, `1.5E-3`}, []string{`.5`, `1.`, `01`}},
	"number from 0 to 1":          {`{"type":"number","minimum":0,"maximum":1}`, []string{`0`, `1`, `0.5`, `1.0`, `0.0001`, `0.9999`}, []string{`1.01`, `-0.1`, `2`, `10`}},
	"number above 0":              {`{"type":"number","exclusiveMinimum":0}`, []string{`0.1`, `1`, `0.001`, `100.5`}, []string{`0`, `0.0`, `-1`}},
	"x- keywords":                 {`{"type":"null","x-order":1,"title":"t","description":"d","default":1,"examples":[1],"$schema":"https://json-schema.org/draft/2020-12/schema"}`, []string{`null`}, nil},
	"optional that cannot be":     {`{"properties":{"a":false,"b":{"type":"null"}}}`, []string{`{}`, `{"b":null}`}, []string{`{"a":1}`}},
	"array of nothing":            {`{"type":"array","items":false}`, []string{`[]`}, []string{`[1]`}},
	"merged anyOf":                {`{"allOf":[{"anyOf":[{"type":"integer"},{"type":"string"}]},{"anyOf":[{"type":"integer"},{"type":"null"}]}]}`, []string{`1`}, []string{`""`, `null`}},
	"merged tuples":               {`{"allOf":[{"prefixItems":[{"type":"integer"}],"items":{"minimum":3,"type":"integer"}},{"items":{"maximum":5}}],"minItems":2,"maxItems":2}`, []string{`[1,3]`, `[5,5]`}, []string{`[6,3]`, `[1,2]`, `[1,6]`}},
}

func TestSchemas(t *testing.T) {
	for name, s := range schemas {
		g, err := FromSchema([]byte(s.schema))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, text := range s.yes {
			if err := g.Matches(text); err != nil {
				t.Errorf("%s: %s is refused: %v", name, text, err)
			}
		}
		for _, text := range s.no {
			if g.Matches(text) == nil {
				t.Errorf("%s: %s is accepted", name, text)
			}
		}
	}
}

// unsupported schemas: where and what.
func TestSchemaRefusals(t *testing.T) {
	nest := func(n int) string { return strings.Repeat(`{"items":`, n) + "true" + strings.Repeat("}", n) }
	for _, c := range []struct{ schema, path, keyword, msg string }{
		{``, "#", "", "no JSON"},
		{`{`, "#", "", "no JSON"},
		{`{"type":"null"} x`, "#", "", "follows after"},
		{`{"type":"null","type":"null"}`, "#", "", `"type" comes twice`},
		{`"x"`, "#", "", "want a schema"},
		{`false`, "#", "", "no value is valid"},
		{`{"type":"nul"}`, "#", "type", `"nul" is no type`},
		{`{"type":null}`, "#", "type", "not null"},
		{`{"type":[]}`, "#", "type", "empty"},
		{`{"type":5}`, "#", "type", "not a number"},
		{`{"minLenght":1}`, "#", "minLenght", "misspelt"},
		{`{"properties":{"a":{"items":{"not":{}}}}}`, "#/properties/a/items", "not", "not supported"},
		{`{"if":{}}`, "#", "if", "not supported"},
		{`{"patternProperties":{"^a":{}}}`, "#", "patternProperties", "not supported"},
		{`{"dependentRequired":{}}`, "#", "dependentRequired", "not supported"},
		{`{"type":"array","contains":{}}`, "#", "contains", "not supported"},
		{`{"type":"array","uniqueItems":true}`, "#", "uniqueItems", "not supported"},
		{`{"type":"array","uniqueItems":1}`, "#", "uniqueItems", "true or false"},
		{`{"type":"number","multipleOf":0.01}`, "#", "multipleOf", "not supported"},
		{`{"type":"integer","multipleOf":3}`, "#", "multipleOf", "not supported"},
		{`{"type":"integer","minimum":"1"}`, "#", "minimum", "want a number"},
		{`{"type":"integer","exclusiveMinimum":true}`, "#", "exclusiveMinimum", "want a number, not a boolean"},
		{`{"type":"integer","minimum":1e60}`, "#", "minimum", "too many digits"},
		{`{"type":"integer","minimum":1e999999999}`, "#", "minimum", "too many digits"},
		{`{"type":"integer","minimum":2,"maximum":1}`, "#", "minimum", "no integer is within"},
		{`{"type":"integer","minimum":0.2,"maximum":0.8}`, "#", "minimum", "no integer is within"},
		{`{"type":"number","exclusiveMinimum":1,"maximum":1}`, "#", "minimum", "no number is within"},
		{`{"type":"string","minLength":-1}`, "#", "minLength", "whole number"},
		{`{"type":"string","minLength":1.5}`, "#", "minLength", "whole number"},
		{`{"type":"string","maxLength":1000000}`, "#", "maxLength", "at most 100000"},
		{`{"type":"string","minLength":3,"maxLength":2}`, "#", "minLength", "more than maxLength"},
		{`{"type":"string","format":"color"}`, "#", "format", `"color" is not supported`},
		{`{"type":"string","format":"date","minLength":3}`, "#", "format", "beside a format"},
		{`{"type":"string","format":"date","pattern":"a"}`, "#", "pattern", "beside a format"},
		{`{"pattern":"(?=a)b"}`, "#", "pattern", "look-around"},
		{`{"pattern":"(?<!a)b"}`, "#", "pattern", "look-around"},
		{`{"pattern":"(a)\\1"}`, "#", "pattern", "back references"},
		{`{"pattern":"\\bx"}`, "#", "pattern", `\b is not supported`},
		{`{"pattern":"a^b"}`, "#", "pattern", "only at the ends"},
		{`{"pattern":"(?i)a"}`, "#", "pattern", "flags"},
		{`{"pattern":"["}`, "#", "pattern", "no regular expression"},
		{`{"pattern":"a[]b"}`, "#", "pattern", "empty set"},
		{`{"pattern":"[[:alpha:]]"}`, "#", "pattern", "[: inside"},
		{`{"pattern":"a\\"}`, "#", "pattern", "lone backslash"},
		{`{"pattern":"^(ab)+$","maxLength":9}`, "#", "pattern", "beside a pattern"},
		{`{"pattern":"^abc$","maxLength":2}`, "#", "pattern", "of this length"},
		{`{"pattern":5}`, "#", "pattern", "want a string"},
		{`{"enum":[]}`, "#", "enum", "no value is left"},
		{`{"enum":"a"}`, "#", "enum", "want a list"},
		{`{"type":"integer","enum":["a"]}`, "#", "enum", "no value is left"},
		{`{"pattern":"a","enum":["a"]}`, "#", "enum", "pattern beside it"},
		{`{"const":1,"enum":[2]}`, "#", "enum", "no value is left"},
		{`{"anyOf":[]}`, "#", "anyOf", "not empty"},
		{`{"anyOf":[{"not":{}}]}`, "#/anyOf/0", "not", "not supported"},
		{`{"allOf":{}}`, "#", "allOf", "want a list"},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "#", "oneOf", "branches 0 and 1"},
		{`{"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, "#", "oneOf", "branches 0 and 1"},
		{`{"allOf":[{"type":"integer"},{"type":"string"}]}`, "#", "", "exclude each other"},
		{`{"allOf":[{"pattern":"a"},{"pattern":"b"}]}`, "#", "pattern", "two different"},
		{`{"$ref":"other.json"}`, "#", "$ref", "not in this document"},
		{`{"$ref":"#name"}`, "#", "$ref", "not in this document"},
		{`{"$ref":"#/$defs/x"}`, "#", "$ref", "is not there"},
		{`{"$ref":5}`, "#", "$ref", "want a string"},
		{`{"$ref":"#"}`, "#", "", "refers to itself"},
		{`{"anyOf":[{"$ref":"#"},{"type":"null"}]}`, "#", "", "refers to itself"},
		{`{"allOf":[{"$ref":"#"}]}`, "#", "", "without end"},
		{`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, "#", "", "no end"},
		{`{"type":"object","required":["a"],"additionalProperties":false}`, "#", "required", `"a" has no valid value`},
		{`{"type":"object","required":"a"}`, "#", "required", "want a list"},
		{`{"type":"object","required":[1]}`, "#", "required", "a number in it"},
		{`{"type":"object","properties":[]}`, "#", "properties", "want an object"},
		{`{"type":"object","properties":null}`, "#", "properties", "not null"},
		{`{"type":"object","properties":{"a/b":5}}`, "#/properties/a~1b", "", "want a schema"},
		{`{"type":"object","minProperties":2}`, "#", "minProperties", "might repeat"},
		{`{"type":"object","properties":{"a":{},"b":{}},"maxProperties":1}`, "#", "maxProperties", "not supported"},
		{`{"type":"object","properties":{"a":{},"b":{}},"minProperties":2}`, "#", "minProperties", "not supported"},
		{`{"type":"object","properties":{"a":{},"b":{}},"required":["a","b"],"maxProperties":1}`, "#", "maxProperties", "are required"},
		{`{"type":"array","items":false,"minItems":1}`, "#", "minItems", "1 items are needed"},
		{`{"type":"array","prefixItems":{}}`, "#", "prefixItems", "want a list"},
		{nest(101), "#" + strings.Repeat("/items", 100), "", "nested more than 100"},
		{nest(300), "#", "", "nested more than 200"},
		{`{"type":"null","description":"` + strings.Repeat("x", maxSource) + `"}`, "#", "", "at most 1048576"},
	} {
		g, err := FromSchema([]byte(c.schema))
		var e *SchemaError
		if g != nil || !errors.As(err, &e) || e.Path != c.path || e.Keyword != c.keyword || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("%.80s: %v, want %s: %s: %s", c.schema, err, c.path, c.keyword, c.msg)
		}
	}
}

func TestAnyObject(t *testing.T) {
	g := AnyObject()
	if err := g.Matches(`{"a": [1, {"b": "c"}]}`); err != nil {
		t.Error(err)
	}
	if g.Matches(`[]`) == nil || g.Matches(`1`) == nil {
		t.Error("it is an object only")
	}
}

// FuzzSchema: a schema is refused with its place, or a grammar, some text of
// which is found by going on with the first byte that may follow.
func FuzzSchema(f *testing.F) {
	for _, s := range schemas {
		f.Add(s.schema)
	}
	for _, s := range rich {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, schema string) {
		g, err := FromSchema([]byte(schema))
		if err != nil {
			var e *SchemaError
			if !errors.As(err, &e) || e.Path == "" || e.Msg == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		a := newAutomaton(g.program)
		a.work = maxWork
		s := a.start()
		for range 200 {
			if a.states[s].ends || a.work < 0 {
				return
			}
			next := dead
			for _, b := range a.p.sample {
				if next = a.step(s, b); next != dead {
					break
				}
			}
			if s = next; s == dead && a.work >= 0 {
				t.Fatalf("a dead end in %s", schema)
			}
		}
	})
}
