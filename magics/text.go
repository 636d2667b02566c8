package magics

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode/utf8"
)

// How numbers and tables look, as text and as HTML. The HTML has no colours of
// its own: it takes the page's, so it is good in light and dark themes.

func parseHTML(name, text string) *template.Template {
	return template.Must(template.New(name).Parse(text))
}

// renderHTML executes a template of ours; an error is a mistake in it.
func renderHTML(t *template.Template, data any) string {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		panic(err)
	}
	return b.String()
}

// columns aligns rows; the last column is not padded.
func columns(rows [][]string) string {
	var width []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(c)
			line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// A table is rows under a head. The first column is aligned left, the others
// right.
type table struct {
	Head []string
	Rows [][]string
	Note string
}

var tableHTML = parseHTML("table", `<table><thead><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr></thead><tbody>
{{- range .Rows}}<tr>{{range $i, $c := .}}<td{{if not $i}} style="text-align:left"{{end}}>{{$c}}</td>{{end}}</tr>{{end -}}
</tbody></table>{{with .Note}}<div style="opacity:.75; white-space:pre-line">{{.}}</div>{{end}}`)

func (t table) html() string { return renderHTML(tableHTML, t) }

func (t table) text() string {
	s := columns(append([][]string{t.Head}, t.Rows...))
	if t.Note != "" {
		s += t.Note + "\n"
	}
	return s
}

// bytesText shows a size as disks and GPUs are sold.
func bytesText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

// BytesText is bytesText for the command line.
func BytesText(n int64) string { return bytesText(n) }

// countText shows a number of parameters: "134.5 M".
func countText(n int64) string {
	switch {
	case n < 1e6:
		return fmt.Sprintf("%d", n)
	case n < 1e9:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f B", float64(n)/1e9)
}

func secondsText(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d.Nanoseconds())/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d.Nanoseconds())/1e6)
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// one says "1 token", "2 tokens".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
