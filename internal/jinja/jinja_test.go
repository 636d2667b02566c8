package jinja_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/internal/jinja"
)

func ExampleTemplate_Render() {
	t, err := jinja.Parse(`{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}
{% endfor %}{{ tools | tojson }}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := t.Render(context.Background(), map[string]any{
		"messages": []map[string]any{{"role": "user", "content": " Hi! "}},
		"tools":    json.RawMessage(`[{"type": "function", "name": "add"}]`),
	})
	fmt.Println(s, err)
	// Output:
	// <|user|>Hi!
	// [{"type": "function", "name": "add"}] <nil>
}

// TestErrors holds the place and the advice of errors.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"a\nbé {{ x.y }}", `jinja: line 2, column 8: 'x' is undefined; pass it to the template, or test it with "is defined"`},
		{"{{ messages[0].role }}", `jinja: line 1, column 15: a list has no 0; test it with "is defined" first`},
		{"{{ 'a' + 1 }}", `jinja: line 1, column 8: "+" does not go with a str and a int; convert one of them, for example with |string or |int`},
		{"{% if a %}\n", `jinja: line 1, column 4: "if" without end; close it with {% endif %}`},
		{"{% for x in a %}{% else %}", `jinja: line 1, column 4: "for" without end; close it with {% endfor %}`},
		{"x {{ a", `jinja: line 1, column 3: tag without end; close it with }}`},
		{"{{ (a }}", `jinja: line 1, column 7: unexpected "}": the open bracket wants ')'`},
		{"{% include 'x' %}", `jinja: line 1, column 4: "include" is not available: a chat template is one file`},
		{"{% import 'x' as y %}", `jinja: line 1, column 4: "import" is not available: a chat template is one file`},
		{"{% from 'x' import y %}", `jinja: line 1, column 4: "from" is not available: a chat template is one file`},
		{"{% extends 'x' %}", `jinja: line 1, column 4: "extends" is not available: a chat template is one file`},
		{"{% block x %}{% endblock %}", `jinja: line 1, column 4: "block" is not available: a chat template is one file`},
		{"{% end %}", `jinja: line 1, column 4: "end" closes nothing that is open here; check the nesting`},
		{"{{ a|nope }}", `jinja: line 1, column 6: no filter "nope"; chat templates have jinja2's filters and tojson`},
		{"{% set d.x = 1 %}", `jinja: line 1, column 8: cannot set d.x: "d" is no namespace; make one with {% set d = namespace() %}`},
		{"{{ [].append(1) }}", `jinja: line 1, column 13: 'append' of a list is not available to templates; build a new value instead`},
		{"{{ raise_exception('no tools here') }}", `jinja: line 1, column 19: no tools here`},
	} {
		got, err := render(c.src, map[string]any{"messages": []any{}})
		if err == nil || err.Error() != c.want || got != "" {
			t.Errorf("%s\ngot  %q, %v\nwant %s", c.src, got, err, c.want)
		}
	}
}

func TestVariables(t *testing.T) {
	ordered := &jinja.Map{}
	ordered.Set("z", 1)
	ordered.Set("a", []any{2.0, nil, true})
	ordered.Set("z", "again")
	var read jinja.Map
	if err := json.Unmarshal([]byte(`{"b": {"d": 1, "c": 1.0}, "a": [12345678901234567890]}`), &read); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "null"}, {true, "true"}, {7, "7"}, {int32(-7), "-7"}, {uint64(1 << 63), "9223372036854775808"}, {2.0, "2.0"}, {float32(0.5), "0.5"},
		{json.Number("12"), "12"}, {json.Number("1e2"), "100.0"}, {"a\xffb", `"a` + "\ufffd" + `b"`},
		{[]string{"a"}, `["a"]`}, {[]any{1, []any{}}, "[1, []]"}, {map[string]any{"b": 1, "a": 2}, `{"a": 2, "b": 1}`},
		{map[string]string{"a": "b"}, `{"a": "b"}`}, {[]map[string]any{{"a": 1}}, `[{"a": 1}]`},
		{ordered, `{"z": "again", "a": [2.0, null, true]}`}, {*ordered, `{"z": "again", "a": [2.0, null, true]}`}, {[]*jinja.Map{ordered}, `[{"z": "again", "a": [2.0, null, true]}]`},
		{&read, `{"b": {"d": 1, "c": 1.0}, "a": [12345678901234567890]}`}, {(*jinja.Map)(nil), "null"},
		{json.RawMessage(`{"b":1,"a":[1.50,"\u00e9"],"b":3}`), `{"b": 3, "a": [1.5, "é"]}`},
		{[]json.RawMessage{json.RawMessage(`1`)}, "[1]"},
	} {
		got, err := render("{{ v|tojson }}", map[string]any{"v": c.v})
		if err != nil || got != c.want {
			t.Errorf("%#v: got %q, %v, want %q", c.v, got, err, c.want)
		}
	}
	cycle := map[string]any{}
	cycle["self"] = cycle
	for _, v := range []any{struct{ A int }{1}, cycle, make(chan int), json.RawMessage("{"), json.RawMessage("1 2"), json.RawMessage(strings.Repeat("[", 1000)), json.Number("x")} {
		if got, err := render("{{ v }}", map[string]any{"v": v}); err == nil {
			t.Errorf("%T: got %q, want an error", v, got)
		}
	}
}

// TestGlobalsAreHidden: what the caller passes comes before the functions.
func TestGlobalsAreHidden(t *testing.T) {
	if got, err := render("{{ range }}{{ dict }}", map[string]any{"range": 1, "dict": "x"}); got != "1x" || err != nil {
		t.Errorf("got %q, %v, want 1x", got, err)
	}
}

// manyNames sets 5,000 variables.
var manyNames = func() string {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "{%% set v%d = 1 %%}", i)
	}
	return b.String()
}()

// hostile are templates that want more than they may have. Python's jinja2
// runs some of them for ever.
var hostile = map[string]string{
	"endless loops":         `{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}`,
	"large range":           `{% for a in range(10**9) %}{{ a }}{% endfor %}`,
	"endless output":        `{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}`,
	"large string":          `{{ 'x' * 10**12 }}`,
	"larger string":         `{{ 'x' * 10**1000 }}`,
	"doubled string":        `{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}`,
	"doubled list":          `{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}`,
	"doubled output":        `{% macro m(n) %}{{ m(n - 1) ~ m(n - 1) if n else 'xxxxxxxx' }}{% endmacro %}{{ m(60) }}`,
	"large list":            `{{ ([0] * 10**10)|length }}`,
	"list of nothing":       `{{ [[]] * 10**10 }}`,
	"replace":               `{{ ('x' * 10**6)|replace('', 'y' * 10**6) }}`,
	"join":                  `{{ ('x' * 10**6).join('y' * 10**6) }}`,
	"center":                `{{ 'x'.center(10**10) }}`,
	"zfill":                 `{{ 'x'.zfill(10**10) }}`,
	"expandtabs":            `{{ ('\t' * 10**6).expandtabs(10**6) }}`,
	"indent":                `{{ ('\n' * 10**6)|indent(10**6, true, true) }}`,
	"tojson indent":         `{{ [[[[[1]]]]]|tojson(indent=10**9) }}`,
	"format width":          `{{ '{:1000000000000}'.format(1) }}`,
	"percent width":         `{{ '%1000000000000d' % 1 }}`,
	"format precision":      `{{ '{:.1000000000f}'.format(1.5) }}`,
	"format in format":      `{{ ('{:{' * 1000 ~ '}}' * 1000).format(1) }}`,
	"batch":                 `{{ [1]|batch(10**10, 'x')|list }}`,
	"slice":                 `{{ [1]|slice(10**10)|list }}`,
	"power":                 `{{ 9**9**9**9**9 }}`,
	"product":               `{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}`,
	"macro without end":     `{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}`,
	"macros without end":    `{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}`,
	"caller without end":    `{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{% call m() %}{% endcall %}`,
	"default without end":   `{% macro m(x=m()) %}{% endmacro %}{{ m() }}`,
	"nested macro":          `{% macro m() %}` + strings.Repeat("{% if 1 %}", 150) + `{{ ` + strings.Repeat("(", 15) + `m() ~ ''` + strings.Repeat(")", 15) + ` }}` + strings.Repeat("{% endif %}", 150) + `{% endmacro %}{{ m() }}`,
	"loop without end":      `{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`,
	"deep list":             `{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}`,
	"deep list as JSON":     `{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}`,
	"deep lists compared":   `{% set ns = namespace(x=[], y=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}`,
	"deep tuple as key":     `{% set ns = namespace(x=()) %}{% for i in range(99999) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ {ns.x: 1} }}`,
	"list of itself":        `{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}`,
	"wide tree":             `{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}`,
	"wide trees compared":   `{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}`,
	"many named arguments":  `{% set ns = namespace(d={}) %}{% for i in range(2000) %}{% set ns.d = dict(ns.d, **{i|string: i}) %}{% endfor %}{% macro m() %}{{ kwargs|length }}{% endmacro %}{% for i in range(99999) %}{{ m(**ns.d) }}{% endfor %}`,
	"long attribute":        `{% set s = 'a.' * 10**6 %}{% for i in range(99999) %}{% set c = [{}]|map(attribute=s) %}{% set d = [{}]|sort(attribute=s) %}{% endfor %}`,
	"long key":              `{% set s = 'a' * 10**6 %}{% for i in range(99999) %}{% set c = [][s] is defined or {}[s] is defined or s is filter %}{% endfor %}`,
	"many variables":        `{% for i in range(99999) %}{% if 0 %}` + manyNames + `{% endif %}{% endfor %}`,
	"captures in captures":  `{% set s = 'x' * 10**6 %}{% macro m() %}{{ s }}{{ m() }}{% endmacro %}{{ m() }}`,
	"chain of generators":   `{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x|map('string') %}{% endfor %}{{ ns.x|list }}`,
	"generator of itself":   `{% set ns = namespace(x=[1]) %}{% macro m() %}{{ ns.x|list }}{% endmacro %}{% set ns.x = range(9)|map('string')|select('in', m()) %}{{ ns.x|list }}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}`,
	"search":                `{% set s = 'x' * 10**7 %}{% for i in range(99999) %}{% if 'y' in s %}{% endif %}{% endfor %}`,
	"search of many":        `{% set s = 'ab' * 10**6 %}{% for i in range(99999) %}{% set n = s.count('aba') + s.find('z') + s.rfind('z') %}{% endfor %}`,
	"characters":            `{% set s = 'é' * 10**6 %}{% for i in range(99999) %}{% set c = s[i] %}{% endfor %}`,
	"upper":                 `{% set s = 'x' * 10**6 %}{% for i in range(99999) %}{% set c = s.upper() %}{% endfor %}`,
	"strip":                 `{% set s = 'x' * 10**6 %}{% for i in range(99999) %}{% set c = s.strip('yx') %}{% endfor %}`,
	"split":                 `{% set s = 'x ' * 10**6 %}{% for i in range(99999) %}{% set c = s.split() %}{% endfor %}`,
	"sort":                  `{% set l = range(99999)|list %}{% for i in range(99999) %}{% set c = l|sort %}{% endfor %}`,
	"escape":                `{% set s = '&' * 10**6 %}{% for i in range(99999) %}{% set s = s|escape|string|forceescape %}{% endfor %}`,
	"capture":               `{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}`,
	"words":                 `{% set s = 'a ' * 10**6 %}{% for i in range(99999) %}{% set c = s|wordcount + s|title|length %}{% endfor %}`,
	"strftime":              `{{ strftime_now('%c' * 10**8) }}`,
	"arguments":             `{% macro m() %}{% endmacro %}{% for i in range(99999) %}{{ m(*range(99999)) }}{% endfor %}`,
	"cast of a long string": `{% set s = '1' * 10**6 %}{% for i in range(99999) %}{% set c = s|int + s|float %}{% endfor %}`,
	"maps":                  `{% set ns = namespace(d={}) %}{% for i in range(99999) %}{% set ns.d = dict(ns.d, **{i|string: i}) %}{% endfor %}`,
}

// TestHostile: such templates end soon, with an error that says why, and
// take no more memory than they may.
func TestHostile(t *testing.T) {
	limits := jinja.Limits{Steps: 1e6, Depth: 100, Output: 1 << 20, Memory: 64 << 20}
	for name, src := range hostile {
		t.Run(name, func(t *testing.T) {
			tmpl, err := jinja.Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			tmpl.Limits = limits
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := tmpl.Render(context.Background(), nil)
			runtime.ReadMemStats(&after)
			if err == nil || s != "" {
				t.Fatalf("got %d bytes, %v, want an error", len(s), err)
			}
			if !errors.Is(err, jinja.ErrLimit) {
				t.Logf("%v", err)
			}
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<30 {
				t.Errorf("took %d MiB in all", taken>>20)
			}
		})
	}
}

// TestHostileSource: what cannot be parsed in bounds is refused.
func TestHostileSource(t *testing.T) {
	const n = 1 << 13
	long := func(s string) string { return strings.Repeat(s, n) }
	for name, src := range map[string]string{
		"brackets":     "{{ " + long("(") + "1" + long(")") + " }}",
		"lists":        "{{ " + long("[") + long("]") + " }}",
		"dicts":        "{{ " + long("{1:") + "1" + long("}") + " }}",
		"signs":        "{{ " + long("-") + "1 }}",
		"nots":         "{{ " + long("not ") + "1 }}",
		"sum":          "{{ 1" + long(" + 1") + " }}",
		"powers":       "{{ 1" + long(" ** 1") + " }}",
		"ands":         "{{ 1" + long(" and 1") + " }}",
		"attributes":   "{{ a" + long(".a") + " }}",
		"subscripts":   "{{ a" + long("[0]") + " }}",
		"calls":        "{{ a" + long("()") + " }}",
		"filters":      "{{ a" + long("|e") + " }}",
		"tests":        "{{ a" + long(" is not b(c)") + " }}",
		"inline ifs":   "{{ 1" + long(" if 1 else 1") + " }}",
		"more ifs":     "{{ 1" + long(" if 1") + " }}",
		"ifs":          long("{% if 1 %}") + long("{% endif %}"),
		"loops":        long("{% for a in b %}") + long("{% endfor %}"),
		"macros":       long("{% macro a() %}") + long("{% endmacro %}"),
		"set filters":  "{% set a" + long("|e") + " %}{% endset %}",
		"targets":      "{% set " + long("(") + "a" + long(")") + " = 1 %}",
		"length":       strings.Repeat("x", 1<<19),
		"large number": "{{ " + long("9") + " }}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jinja.Parse(src); !errors.Is(err, jinja.ErrLimit) {
				t.Errorf("got %.200v, want ErrLimit", err)
			}
		})
	}
	for name, src := range map[string]string{ // large, but in bounds: quick
		"elifs":     "{% if 0 %}" + long("{% elif 0 %}") + "{% endif %}",
		"sets":      long("{% set a = 1 %}"),
		"names":     strings.Join(strings.Split(fmt.Sprint(make([]int, n/2)), " "), "{% if 1 %}{% set a = 1 %}{% endif %}"),
		"text":      long("{"),
		"comments":  long("{# #}"),
		"open tags": "{#" + long("{# {%- "),
		"concat":    "{{ 1" + long(" ~ 1") + " }}",
		"compare":   "{{ 1" + long(" == 1") + " }}",
		"list":      "{{ [" + long("1,") + "] }}",
		"raws":      long("{% raw %}{% endraw %}"),
		"quotes":    "{{ " + long("'a' ") + " }}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := render(src, nil); errors.Is(err, jinja.ErrLimit) {
				t.Errorf("got %.200v", err)
			}
		})
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	tmpl, err := jinja.Parse(hostile["endless loops"])
	if err != nil {
		t.Fatal(err)
	}
	tmpl.Limits.Steps = 1e15
	if _, err := tmpl.Render(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestConcurrent renders one template from several goroutines at once.
func TestConcurrent(t *testing.T) {
	tmpl, err := jinja.Parse(`{% set ns = namespace(n=0) %}{% macro m(x) %}{{ x }}{% endmacro %}{% for i in range(100) %}{% set ns.n = ns.n + a %}{{ m(i) if not i }}{% endfor %}{{ ns.n }}`)
	if err != nil {
		t.Fatal(err)
	}
	for a := range 8 {
		t.Run(fmt.Sprint(a), func(t *testing.T) {
			t.Parallel()
			for range 20 {
				got, err := tmpl.Render(context.Background(), map[string]any{"a": a})
				if want := fmt.Sprintf("0%d", 100*a); got != want || err != nil {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
		})
	}
}

func seeds(f *testing.F, add func(src string)) {
	lines, err := os.ReadFile("testdata/snippets.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		var pair []any
		if json.Unmarshal([]byte(line), &pair) == nil {
			add(pair[0].(string))
		}
	}
	for _, src := range hostile {
		add(src)
	}
}

// FuzzParse: a source parses or has an error with a place inside of it, and
// the same each time.
func FuzzParse(f *testing.F) {
	seeds(f, func(src string) { f.Add(src) })
	f.Fuzz(func(t *testing.T, src string) {
		a, err := jinja.Parse(src)
		if err == nil {
			return
		}
		var at *jinja.Error
		if a != nil || !errors.As(err, &at) || at.Line < 1 || at.Column < 1 || at.Line > 1+strings.Count(src, "\n")+strings.Count(src, "\r") {
			t.Fatalf("got %v, %v", a, err)
		}
		if _, again := jinja.Parse(src); again == nil || again.Error() != err.Error() {
			t.Fatalf("got %v, then %v", err, again)
		}
	})
}

// FuzzRender: a template renders the same each time, within its limits, or
// has an error with a place; and text after it comes out as it is.
func FuzzRender(f *testing.F) {
	seeds(f, func(src string) { f.Add(src, "x y}") })
	vars := map[string]any{
		"messages": json.RawMessage(`[{"role": "user", "content": "Hi", "n": 1.5, "tags": []}]`),
		"xs":       []any{3, 1, 2}, "s": "Hello, World", "t": true,
	}
	limits := jinja.Limits{Steps: 1e5, Depth: 50, Output: 1 << 16, Memory: 4 << 20}
	f.Fuzz(func(t *testing.T, src, after string) {
		tmpl, err := jinja.Parse(src)
		if err != nil {
			return
		}
		tmpl.Limits, tmpl.Now = limits, now
		got, err := tmpl.Render(context.Background(), vars)
		again, err2 := tmpl.Render(context.Background(), vars)
		if got != again || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("got %q, %v, then %q, %v", got, err, again, err2)
		}
		if err != nil {
			var at *jinja.Error
			if got != "" || !errors.As(err, &at) {
				t.Fatalf("got %q, %v", got, err)
			}
			return
		}
		if len(got) > limits.Output {
			t.Fatalf("%d bytes, at most %d allowed", len(got), limits.Output)
		}
		// What follows is plain text only if no tag of src is open, and a
		// newline at the end of a template is dropped.
		if strings.Contains(src, "{#") || strings.Contains(src, "raw") || strings.ContainsAny(after, "{\r\n") || strings.HasSuffix(src, "{") || strings.HasSuffix(src, "\n") || strings.HasSuffix(src, "\r") {
			return
		}
		after = strings.ToValidUTF8(after, "\ufffd")
		if whole, err := render(src+"{{ '' }}"+after, vars); err != nil || whole != got+after {
			t.Fatalf("got %q, %v, want %q", whole, err, got+after)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	src, err := os.ReadFile("testdata/templates/Qwen-Qwen3-0.6B.jinja")
	if err != nil {
		b.Fatal(err)
	}
	tmpl, err := jinja.Parse(string(src))
	if err != nil {
		b.Fatal(err)
	}
	var messages []any
	for i := range 100 {
		messages = append(messages, map[string]any{"role": []string{"user", "assistant"}[i%2], "content": strings.Repeat("word ", 200)})
	}
	vars := map[string]any{"messages": messages, "add_generation_prompt": true}
	for b.Loop() {
		if _, err := tmpl.Render(context.Background(), vars); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	src, err := os.ReadFile("testdata/templates/Qwen-Qwen3-0.6B.jinja")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := jinja.Parse(string(src)); err != nil {
			b.Fatal(err)
		}
	}
}
