package magics

import (
	"fmt"
	"strings"

	"github.com/llcuda/llcuda/jupyter"
)

// How %embed shows vectors: of one text some numbers, of several their cosines.

const (
	cosineTexts = 16 // in a table
	cosineLabel = 48 // characters of a text beside it
	shownFirst  = 6  // numbers of a vector
)

// The shade of a cell is that of its cosine, and takes the page's own colour.
var (
	cosinesHTML = parseHTML("cosines", `<table><thead><tr><th></th>{{range .Head}}<th>{{.}}</th>{{end}}</tr></thead><tbody>
{{- range .Rows}}<tr><td style="text-align:left">{{.Label}}</td>{{range .Cells}}<td style="background:rgba(128,128,128,{{.Shade}})">{{.Text}}</td>{{end}}</tr>{{end -}}
</tbody></table><div style="opacity:.75">{{.Note}}</div>`)
	matchesHTML = parseHTML("matches", `<table><tbody>{{range .Rows}}<tr><td>{{index . 0}}</td><td style="text-align:left; white-space:pre-wrap">{{index . 1}}</td></tr>{{end -}}
</tbody></table><div style="opacity:.75">{{.Note}}</div>`)
)

type cosineCell struct {
	Text  string
	Shade float64 // 0 to 0.6
}

type cosineRow struct {
	Label string
	Cells []cosineCell
}

func (q *embedding) show() {
	n, dim := len(q.vectors), len(q.vectors[0])
	if n == 1 {
		var numbers []string
		for _, x := range q.vectors[0][:min(shownFirst, dim)] {
			numbers = append(numbers, fmt.Sprintf("%.4f", x))
		}
		if dim > shownFirst {
			numbers = append(numbers, "…")
		}
		text := "[" + strings.Join(numbers, ", ") + "]\n" + q.note(count(dim, "number"))
		q.bar.end(jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
		return
	}
	shown := min(n, cosineTexts)
	first := fmt.Sprintf("%d vectors of %s", n, count(dim, "number"))
	if shown < n {
		first += fmt.Sprintf(", the first %d in the table", shown)
	}
	var rows []cosineRow
	var head []string
	least := 1.0
	for i := range shown {
		row := cosineRow{Label: fmt.Sprintf("%d %s", i+1, shorten(q.texts[i], cosineLabel))}
		for j := range shown {
			x := cosine(q.vectors[i], q.vectors[j])
			least = min(least, x)
			row.Cells = append(row.Cells, cosineCell{fmt.Sprintf("%6.3f", x), x})
		}
		rows, head = append(rows, row), append(head, fmt.Sprintf("%6d", i+1))
	}
	text := [][]string{append([]string{""}, head...)}
	for i := range rows {
		line := []string{rows[i].Label}
		for j := range rows[i].Cells {
			cell := &rows[i].Cells[j]
			cell.Shade = 0.6 * max(0, cell.Shade-least) / max(1-least, 1e-6)
			line = append(line, cell.Text)
		}
		text = append(text, line)
	}
	note := q.note(first)
	q.bar.end(jupyter.Bundle{"text/plain": columns(text) + note + "\n", "text/html": renderHTML(cosinesHTML, struct {
		Head []string
		Rows []cosineRow
		Note string
	}{head, rows, note})})
}

// shorten cuts a text to so many characters.
func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
