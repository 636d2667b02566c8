package magics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/llcuda/llcuda/engine/chat"
)

// A batchRecord is a line of --output. Sum is that of the line it answers, so
// that a changed one is not taken for answered.
type batchRecord struct {
	Line         int             `json:"line"`
	Sum          string          `json:"sum"`
	ID           json.RawMessage `json:"id,omitempty"`
	Error        string          `json:"error,omitempty"`
	Text         *string         `json:"text,omitempty"`
	Reasoning    string          `json:"reasoning,omitempty"`
	ToolCalls    []chat.ToolCall `json:"tool_calls,omitempty"`
	StopReason   string          `json:"stop_reason,omitempty"`
	PromptTokens int             `json:"prompt_tokens,omitempty"`
	NewTokens    int             `json:"new_tokens,omitempty"`
	Pieces       int             `json:"pieces,omitempty"` // where a server counts no tokens
	Seed         *uint64         `json:"seed,omitempty"`
	Server       string          `json:"server,omitempty"` // of several
	Seconds      float64         `json:"seconds"`
}

// recordStart is how each record begins.
var recordStart = []byte(`{"line":`)

// An answerFile is --output while it is written: records in the order in which
// they came, the last one of a line counts. close puts them in order.
type answerFile struct {
	path string
	f    *os.File
	size int64
	at   map[int]span // by number of the line
	last int          // highest number
	mess bool         // not in order, or with records that no longer count
}

type span struct {
	start, end int64
	failed     bool
}

// openAnswers opens path for the answers to lines, and keeps those that it
// has. It refuses a file that holds anything else.
func openAnswers(path, input string, lines []batchLine) (*answerFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	a := &answerFile{path: path, at: map[int]span{}}
	info, err := os.Stat(path)
	if in, err2 := os.Stat(input); err == nil && err2 == nil && os.SameFile(in, info) {
		return nil, fmt.Errorf("--output: %s has the prompts; name another file", path)
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--output: %s is no file", path)
	}
	if a.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	err = lock(a.f)
	if err == nil {
		err = a.resume(lines)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--output: %w", err), a.f.Close())
	}
	return a, nil
}

// resume reads what there is. A last line that was torn off is cut away.
func (a *answerFile) resume(lines []batchLine) error {
	data, err := os.ReadFile(a.path)
	if err != nil {
		return err
	}
	sums := map[int]string{}
	for _, l := range lines {
		sums[l.number] = l.sum
	}
	n := 0
	for text := range bytes.Lines(data) {
		n++
		var r batchRecord
		whole := bytes.HasSuffix(text, []byte("\n"))
		err := json.Unmarshal(text, &r)
		ours := err == nil && r.Line > 0 && r.Sum != "" && bytes.HasPrefix(text, recordStart)
		switch {
		case !whole && err != nil && (bytes.HasPrefix(text, recordStart) || bytes.HasPrefix(recordStart, text)):
			return a.cut()
		case !ours:
			return fmt.Errorf("line %d of %s is no answer of --batch; name another file", n, a.path)
		case sums[r.Line] != r.Sum && r.Error != "": // and was set right since
			a.mess = true
			a.size += int64(len(text))
			continue
		case sums[r.Line] != r.Sum:
			return fmt.Errorf("line %d of %s answers a line %d that the prompts do not have, or no longer have; name another file", n, a.path, r.Line)
		}
		end := a.size + int64(len(text))
		if !whole {
			if _, err := a.f.WriteAt([]byte("\n"), end); err != nil {
				return err
			}
			end++
		}
		a.note(&r, end)
	}
	return nil
}

// note keeps where the record is that ends at end.
func (a *answerFile) note(r *batchRecord, end int64) {
	a.mess = a.mess || r.Line <= a.last
	a.last = max(a.last, r.Line)
	a.at[r.Line] = span{a.size, end, r.Error != ""}
	a.size = end
}

// cut takes away what is behind the last record.
func (a *answerFile) cut() error { return a.f.Truncate(a.size) }

// done reports whether a line has an answer.
func (a *answerFile) done(line int) bool {
	s, ok := a.at[line]
	return ok && !s.failed
}

// add writes a record, or nothing of it.
func (a *answerFile) add(r *batchRecord) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("--output: line %d: %w", r.Line, err)
	}
	if _, err := a.f.WriteAt(text.Bytes(), a.size); err != nil {
		return errors.Join(fmt.Errorf("--output: %w; what was written before stays", err), a.cut())
	}
	a.note(r, a.size+int64(text.Len()))
	return nil
}

// close puts the records in the order of the lines.
func (a *answerFile) close() error {
	err := a.f.Sync()
	if err == nil && a.mess {
		err = a.sort()
	}
	if err = errors.Join(err, a.f.Close()); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

// sort writes the records that count to a file beside, which then takes the
// place of this one.
func (a *answerFile) sort() (err error) {
	data := make([]byte, a.size)
	if _, err := a.f.ReadAt(data, 0); err != nil {
		return err
	}
	info, err := a.f.Stat()
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(a.path), "."+filepath.Base(a.path)+"-*")
	if err != nil {
		return err
	}
	var sorted bytes.Buffer
	for _, line := range slices.Sorted(maps.Keys(a.at)) {
		s := a.at[line]
		sorted.Write(data[s.start:s.end])
	}
	_, err = t.Write(sorted.Bytes())
	err = errors.Join(err, t.Chmod(info.Mode()), t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), a.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	return nil
}
