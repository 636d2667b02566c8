package magics

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/gguf"
)

const tinyEncoder = "../engine/testdata/encoders/bert-mean.gguf"

// goldenCosines are those of the mean states that transformers gives for the
// texts in the file of the tiny encoder.
func goldenCosines(t *testing.T) (texts []string, cosines [][]float64) {
	t.Helper()
	f, err := gguf.Open(tinyEncoder)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, _ := f.Value("golden.texts")
	hidden, _ := f.Value("golden.hidden")
	ends, err := f.Ints("golden.ends")
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, v.([]string)...)
	states := hidden.([]float32)
	dim := len(states) / int(ends[len(ends)-1])
	means, lo := make([][]float64, len(texts)), 0
	for i, hi := range ends {
		means[i] = make([]float64, dim)
		for j, x := range states[lo*dim : int(hi)*dim] {
			means[i][j%dim] += float64(x)
		}
		lo = int(hi)
	}
	dot := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	for i := range means {
		cosines = append(cosines, make([]float64, len(means)))
		for j := range means {
			cosines[i][j] = dot(means[i], means[j]) / math.Sqrt(dot(means[i], means[i])*dot(means[j], means[j]))
		}
	}
	return texts, cosines
}

func TestEmbed(t *testing.T) {
	in := newTestInterpreter(t)
	if got := run(in, "%embed cat"); !strings.Contains(got, "no model loaded") {
		t.Errorf("without a model: %q", got)
	}
	if got := run(in, "%load "+tinyEncoder); !strings.Contains(got, "bert-mean: bert, ") || !strings.Contains(got, "context 64") {
		t.Fatalf("%%load shows %q", got)
	}
	texts, want := goldenCosines(t)
	texts, want = append(texts[:2:2], texts[3:]...), append(want[:2:2], want[3:]...) // not the empty one
	for i, row := range want {
		want[i] = append(row[:2:2], row[3:]...)
	}

	got := run(in, "%%embed --var E\n"+strings.Join(texts, "\n\n")+"\n")
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != len(texts)+2 || strings.TrimSpace(strings.TrimPrefix(lines[0], "display_data: ")) != "1       2       3       4       5       6       7" {
		t.Fatalf("the table is %q", got)
	}
	for i, row := range want {
		cells := regexp.MustCompile(`-?\d\.\d{3}`).FindAllString(lines[1+i], -1)
		for j, cell := range cells {
			var x float64
			fmt.Sscan(cell, &x)
			if len(cells) != len(row) || math.Abs(x-row[j]) > 0.0025 {
				t.Errorf("row %d, column %d: %s of %d, want %.3f of %d", i, j, cell, len(cells), row[j], len(row))
			}
		}
	}
	if note := regexp.MustCompile(`^7 vectors of 32 numbers · \d+ tokens · bert-mean · mean pooling · `); !note.MatchString(lines[len(lines)-1]) {
		t.Errorf("the figures are %q", lines[len(lines)-1])
	}

	// The rows of E have length 1: their products are the cosines.
	if got := run(in, "%tensor E.shape"); !strings.Contains(got, "(7, 32)") {
		t.Errorf("E: %q", got)
	}
	got = run(in, "%tensor (E @ E.T)[0, 1]")
	var x float64
	if fmt.Sscanf(got, "execute_result: tensor(%f)", &x); math.Abs(x-want[0][1]) > 0.0025 {
		t.Errorf("E @ E.T: %q, want %.4f", got, want[0][1])
	}

	if got := run(in, "%embed king"); !regexp.MustCompile(`^display_data: \[-?0\.\d{4}, .*, …\]\n32 numbers · 3 tokens · bert-mean · mean pooling · `).MatchString(got) {
		t.Errorf("one text: %q", got)
	}
}

func TestEmbedSearch(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load "+tinyEncoder)
	run(in, "%%embed --var E\nThe cat sat on the mat.\nking\nwar and peace\nthe red bird\n")
	got := run(in, "%embed --in E --top 2 --var best KING")
	if !regexp.MustCompile(`^display_data: 1\.000  king\n0\.\d{3}  .*\nof 4 texts · 3 tokens · bert-mean · mean pooling · `).MatchString(got) {
		t.Errorf("search shows %q", got)
	}
	if v, _ := in.vars.Get("best"); !strings.HasPrefix(fmt.Sprint(v), "king\n") || strings.Count(fmt.Sprint(v), "\n") != 1 {
		t.Errorf("--var holds %q", v)
	}
	// Another model is the current one: the search asks the one that made E.
	run(in, "%load demo")
	got = run(in, "%embed --in E --json king")
	var found struct {
		Model   string
		Query   string
		Matches []match
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got, "stdout: ")), &found); err != nil {
		t.Fatalf("%v: %q", err, got)
	}
	if found.Model != "bert-mean" || found.Query != "king" || len(found.Matches) != 3 || found.Matches[0].Index != 1 || math.Abs(found.Matches[0].Cosine-1) > 1e-5 {
		t.Errorf("--json gives %+v", found)
	}
	for code, want := range map[string]string{
		"%embed --in E --model demo king": "vectors of",
		"%embed --in F king":              "no texts of %embed are there; %%embed --var F",
		"%%embed --in E\na\nb":            "looks for one text, got 2 lines",
		"%embed --in E --top 0 king":      "--top 0: want at least 1",
		"%embed":                          "the text is missing",
		"%embed --pooling max king":       "--pooling max: want mean, cls, last or auto",
		"%embed --var if! king":           "--var if!",
		"%infer --model bert-mean Once":   "an encoder makes vectors of texts and continues none; use %embed",
	} {
		if got := run(in, code); !strings.Contains(got, want) || !strings.Contains(got, "error: ") {
			t.Errorf("%s: %q, want an error with %q", code, got, want)
		}
	}
	run(in, "%tensor E = ones(4, 32)")
	if got := run(in, "%embed --in E king"); !strings.Contains(got, "no texts of %embed are there") {
		t.Errorf("E is something else: %q", got)
	}
}

func TestEmbedTooLong(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load --ctx 8 "+tinyEncoder)
	text := "the cat sat on the mat and ate"
	if got := run(in, "%embed "+text); !strings.Contains(got, "error: ") || !strings.Contains(got, "10 tokens, at most 8 allowed") || !strings.Contains(got, "--truncate") {
		t.Errorf("too long: %q", got)
	}
	if got := run(in, "%embed --truncate "+text); !strings.Contains(got, "text 1 had 10 tokens and was cut") {
		t.Errorf("cut: %q", got)
	}
}

// TestEmbedDecoder: any model gives vectors.
func TestEmbedDecoder(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	got := run(in, "%embed --json Once upon a time")
	var r struct {
		Pooling    string
		Dimensions int
		Vectors    [][]float64
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got, "stdout: ")), &r); err != nil {
		t.Fatalf("%v: %q", err, got)
	}
	sum := 0.0
	for _, x := range r.Vectors[0] {
		sum += x * x
	}
	if r.Pooling != "last" || len(r.Vectors[0]) != r.Dimensions || math.Abs(sum-1) > 1e-5 {
		t.Errorf("%s pooling, %d of %d numbers, length² %g", r.Pooling, len(r.Vectors[0]), r.Dimensions, sum)
	}
}

func TestEmbedPrefix(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load "+tinyEncoder)
	a, b := run(in, "%embed --json --prefix 'the ' king"), run(in, "%embed --json the king")
	vectors := regexp.MustCompile(`"vectors":.*`)
	if vectors.FindString(a) != vectors.FindString(b) || !strings.Contains(a, `"texts":["king"]`) {
		t.Errorf("with a prefix %q, want the vector of %q", a, b)
	}
}
