package magics

import (
	"fmt"
	"math"
	"slices"
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

// show shows what the vectors are.
func (q *embedding) show() {
	n, dim := len(q.vectors), len(q.vectors[0])
	if n == 1 {
		text := numbersText(q.vectors[0]) + "\n" + q.note(count(dim, "number"))
		q.bar.end(jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
		return
	}
	first := fmt.Sprintf("%d vectors of %s", n, count(dim, "number"))
	if n > cosineTexts {
		first += fmt.Sprintf(", the first %d in the table", cosineTexts)
	}
	head, rows := q.cosines(min(n, cosineTexts))
	text := [][]string{{""}}
	for _, number := range head {
		text[0] = append(text[0], fmt.Sprintf("%6s", number))
	}
	for _, r := range rows {
		line := []string{r.Label}
		for _, c := range r.Cells {
			line = append(line, fmt.Sprintf("%6s", c.Text))
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

// cosines are those of the first n vectors. The least has no shade.
func (q *embedding) cosines(n int) (head []string, rows []cosineRow) {
	all, least := make([][]float64, n), 1.0
	for i := range all {
		for _, v := range q.vectors[:n] {
			all[i] = append(all[i], cosine(q.vectors[i], v))
		}
		least = min(least, slices.Min(all[i]))
	}
	for i, line := range all {
		row := cosineRow{Label: fmt.Sprintf("%d %s", i+1, shorten(q.texts[i], cosineLabel))}
		for _, x := range line {
			shade := 0.6 * max(0, x-least) / max(1-least, 1e-6)
			row.Cells = append(row.Cells, cosineCell{fmt.Sprintf("%.3f", x), math.Round(100*shade) / 100})
		}
		rows, head = append(rows, row), append(head, fmt.Sprint(i+1))
	}
	return head, rows
}

// numbersText is the beginning of a vector.
func numbersText(v []float32) string {
	var numbers []string
	for _, x := range v[:min(shownFirst, len(v))] {
		numbers = append(numbers, fmt.Sprintf("%.4f", x))
	}
	if len(v) > shownFirst {
		numbers = append(numbers, "…")
	}
	return "[" + strings.Join(numbers, ", ") + "]"
}

// shorten cuts a text to so many characters.
func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
