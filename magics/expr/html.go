package expr

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// tableTemplate shows the numbers of a vector or matrix in the page's own
// colours.
var tableTemplate = template.Must(template.New("tensor").Parse(`<div><table>
{{- range .Rows}}<tr>{{range .}}<td style="text-align:right;font-family:monospace">{{.}}</td>{{end}}</tr>{{end -}}
</table><div style="opacity:.75">{{.About}}</div></div>`))

var preTemplate = template.Must(template.New("text").Parse(`<div><pre>{{.Text}}</pre><div style="opacity:.75">{{.About}}</div></div>`))

var listingTemplate = template.Must(template.New("list").Parse(`<table><thead><tr>{{range index . 0}}<th style="text-align:left">{{.}}</th>{{end}}</tr></thead><tbody>
{{- range slice . 1}}<tr>{{range .}}<td style="text-align:left">{{.}}</td>{{end}}</tr>{{end -}}
</tbody></table>`))

// HTML is a tensor, or a list of variables, as the notebook shows it; ok is
// false for other values, whose text is enough.
func (e *Env) HTML(v Value) (html string, ok bool, err error) {
	if l, ok := v.(Listing); ok && len(l) > 1 {
		var b strings.Builder
		err := listingTemplate.Execute(&b, l)
		return b.String(), true, err
	}
	a, ok := v.(*Array)
	if !ok {
		return "", false, nil
	}
	about := fmt.Sprintf("%s %s on %s, %s", a.DType(), shapeString(a.Shape()), a.Device().Name(), size(float64(a.Bytes())))
	var b strings.Builder
	if n := len(a.t.Shape); n == 0 || n > 2 || a.t.Len() == 0 {
		text, err := e.arrayText(a)
		if err != nil {
			return "", false, err
		}
		err = preTemplate.Execute(&b, struct{ Text, About string }{text, about})
		return b.String(), true, err
	}
	if err := e.sync(); err != nil {
		return "", false, err
	}
	x, err := excerptOf(a)
	if err != nil {
		return "", false, err
	}
	err = tableTemplate.Execute(&b, struct {
		Rows  [][]string
		About string
	}{x.cells(), about})
	return b.String(), true, err
}

// cells are the numbers of one or two dimensions, with … for what is cut.
func (x *excerpt) cells() [][]string {
	f := newFormat(x.numbers)
	cols := x.shape[len(x.shape)-1]
	rows := tensor.Count(x.shape[:len(x.shape)-1])
	wide := x.cut[len(x.cut)-1]
	var out [][]string
	for i := range rows {
		if len(x.shape) == 2 && x.cut[0] && i == edgeItems {
			out = append(out, []string{"⋮"})
		}
		var row []string
		for j := range cols {
			if wide && j == edgeItems {
				row = append(row, "…")
			}
			row = append(row, strings.TrimLeft(f.cell(x.numbers, i*cols+j), " "))
		}
		out = append(out, row)
	}
	return out
}
