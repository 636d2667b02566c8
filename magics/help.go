package magics

import (
	"context"
	"fmt"
	"html/template"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
	"github.com/llcuda/llcuda/tensor"
)

func init() {
	register(Magic{Name: "lsmagic", Doc: "lists the magics", Line: true, Run: lsmagic})
	register(Magic{Name: "help", Args: "[NAME]", Doc: "explains a magic, a tensor function or a variable; alone it lists the magics", Line: true,
		Help:     "%help infer\n%help softmax\ninfer? and %infer? do the same.",
		Run:      helpMagic,
		Complete: func(in *Interpreter, c Completing) []string { return append(magicNames(), functionNames()...) }})
}

func magicNames() (names []string) {
	for _, m := range Magics() {
		names = append(names, m.Name)
	}
	return names
}

func functionNames() (names []string) {
	for _, f := range expr.Functions() {
		names = append(names, f.Name)
	}
	return names
}

var lsmagicHTML = parseHTML("lsmagic", `<table>{{range .}}<tr><td style="text-align:left"><code>{{.Forms}}</code></td><td style="text-align:left">{{.Doc}}</td></tr>{{end}}</table>`)

func lsmagic(_ context.Context, c *Call) error {
	if err := c.atMost(0); err != nil {
		return err
	}
	type row struct{ Forms, Doc string }
	var rows []row
	lines := [][]string{}
	for _, m := range Magics() {
		var forms []string
		if m.Line {
			forms = append(forms, "%"+m.Name)
		}
		if m.Cell {
			forms = append(forms, "%%"+m.Name)
		}
		rows = append(rows, row{strings.Join(forms, " "), m.Doc})
		lines = append(lines, []string{strings.Join(forms, " "), m.Doc})
	}
	lines = append(lines, []string{"!command", "runs a shell command"}, []string{"name?", "explains name"})
	rows = append(rows, row{"!command", "runs a shell command"}, row{"name?", "explains name"})
	c.Display.Show(jupyter.Bundle{"text/plain": columns(lines), "text/html": renderHTML(lsmagicHTML, rows)})
	return nil
}

func helpMagic(ctx context.Context, c *Call) error {
	if err := c.atMost(1); err != nil {
		return err
	}
	if len(c.Args) == 0 {
		return lsmagic(ctx, c)
	}
	b := c.describe(c.Args[0])
	if b == nil {
		return unknownName(c.Args[0], c.Interpreter)
	}
	c.Display.Show(b)
	return nil
}

// help answers name?.
func (in *Interpreter) help(s step, d *jupyter.Display) error {
	b := in.describe(s.name)
	if b == nil {
		return unknownName(s.name, in)
	}
	d.Page(b)
	return nil
}

func unknownName(id string, in *Interpreter) error {
	hint := "%lsmagic lists the magics, %tensor list the variables"
	known := append(append(magicNames(), functionNames()...), in.vars.Names()...)
	if best := expr.Closest(strings.TrimLeft(id, "%"), known); best != "" {
		hint = "did you mean " + best + "?"
	}
	return &jupyter.Error{Name: "NameError", Value: fmt.Sprintf("nothing is known as %s; %s", id, hint)}
}

// describe explains a magic, a variable, a function of %tensor; nil: unknown.
func (in *Interpreter) describe(id string) jupyter.Bundle {
	name := strings.TrimLeft(id, "%")
	if v, ok := in.vars.Get(name); ok && name == id {
		return describeVariable(name, v)
	}
	if m := registry[name]; m != nil {
		return m.describe()
	}
	if name != id {
		return nil
	}
	if f := expr.Lookup(name); f != nil {
		return page(f.Usage, f.Doc, "")
	}
	if doc := expr.Attribute(name); doc != "" {
		return page("A."+name, doc, "")
	}
	return nil
}

func describeVariable(name string, v expr.Value) jupyter.Bundle {
	switch v := v.(type) {
	case *expr.Array:
		return page(name, fmt.Sprintf("tensor: %s on %s, %s", v, v.Device().Name(), bytesText(int64(v.Bytes()))), "")
	case string:
		r := []rune(v)
		text := v
		if len(r) > 1000 {
			text = string(r[:1000]) + "…"
		}
		return page(name, fmt.Sprintf("text of %d characters", len(r)), text)
	case expr.List:
		return page(name, "list of "+count(len(v.Items), "value"), "")
	case tensor.Device:
		return page(name, "the device "+v.Name(), "")
	}
	return page(name, fmt.Sprint(v), "")
}

// describe is a magic's page: usage, doc, flags, help.
func (m *Magic) describe() jupyter.Bundle {
	var flags [][]string
	m.flagSet().VisitAll(func(f *pflag.Flag) {
		kind, usage := flagUsage(f)
		left := "--" + f.Name
		if kind != "" {
			left += " " + kind
		}
		switch f.DefValue {
		case "", "false", "[]", "0":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		flags = append(flags, []string{"  " + left, usage})
	})
	more := columns(flags)
	if m.Help != "" {
		if more != "" {
			more += "\n"
		}
		more += m.Help
	}
	return page(m.Usage(), m.Doc, more)
}

// flagUsage is what a flag takes, for people, and its explanation.
func flagUsage(f *pflag.Flag) (kind, usage string) {
	kind, usage = pflag.UnquoteUsage(f)
	if kind == "float32" {
		kind = "number"
	}
	return kind, usage
}

var pageHTML = template.Must(template.New("page").Parse(
	`<div><code>{{.Usage}}</code><p>{{.Doc}}</p>{{with .More}}<pre>{{.}}</pre>{{end}}</div>`))

func page(usage, doc, more string) jupyter.Bundle {
	text := usage + "\n\n" + doc + "\n"
	if more != "" {
		text += "\n" + strings.TrimRight(more, "\n") + "\n"
	}
	return jupyter.Bundle{"text/plain": text,
		"text/html": renderHTML(pageHTML, struct{ Usage, Doc, More string }{usage, doc, strings.TrimRight(more, "\n")})}
}
