package jupyter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// A Notebook is an nbformat 4 document (https://nbformat.readthedocs.io). Fields
// that this package does not know are kept. JSON values in it are map[string]any,
// []any, string, bool, nil and json.Number.
type Notebook struct {
	Cells    []*NotebookCell
	Metadata map[string]any
	extra    map[string]any // nbformat, nbformat_minor and the unknown
}

// A NotebookCell is one cell. ID is empty before nbformat 4.5.
type NotebookCell struct {
	Type     string // "code", "markdown" or "raw"
	ID       string
	Source   string
	Metadata map[string]any
	// Count and Outputs are those of code cells. Count is 0 before execution.
	Count   int
	Outputs []map[string]any
	extra   map[string]any // attachments and the unknown
}

// ReadNotebook reads a notebook file.
func ReadNotebook(path string) (*Notebook, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("jupyter: read notebook: %w", err)
	}
	nb, err := ParseNotebook(data)
	if err != nil {
		return nil, fmt.Errorf("jupyter: notebook %s: %w", path, err)
	}
	return nb, nil
}

// ParseNotebook reads a notebook from its bytes.
func ParseNotebook(data []byte) (*Notebook, error) {
	v, err := parseJSON(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return nil, err
	}
	top, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	if major, _ := top["nbformat"].(json.Number); major != "4" {
		return nil, fmt.Errorf("nbformat %v, only 4 is read; convert it with: jupyter nbconvert --to notebook --nbformat 4", top["nbformat"])
	}
	nb := &Notebook{extra: top}
	if nb.Metadata, err = take[map[string]any](top, "metadata"); err != nil {
		return nil, err
	}
	for _, key := range []string{"orig_nbformat", "orig_nbformat_minor", "signature"} {
		delete(nb.Metadata, key)
	}
	cells, err := take[[]any](top, "cells")
	if err != nil {
		return nil, err
	}
	for i, c := range cells {
		cell, err := parseCell(c)
		if err != nil {
			return nil, fmt.Errorf("cell %d: %w", i+1, err)
		}
		nb.Cells = append(nb.Cells, cell)
	}
	return nb, nil
}

func parseCell(v any) (c *NotebookCell, err error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	c = &NotebookCell{extra: m}
	if c.Type, err = take[string](m, "cell_type"); err != nil {
		return nil, err
	}
	if _, ok := m["id"]; ok {
		if c.ID, err = take[string](m, "id"); err != nil {
			return nil, err
		}
	}
	source, ok := joined(m["source"]).(string)
	if !ok {
		return nil, fmt.Errorf("source is %T, want text or a list of lines", m["source"])
	}
	c.Source = source
	delete(m, "source")
	if c.Metadata, err = take[map[string]any](m, "metadata"); err != nil {
		return nil, err
	}
	delete(c.Metadata, "trusted")
	if attachments, ok := m["attachments"].(map[string]any); ok {
		for _, a := range attachments {
			joinBundle(a)
		}
	}
	if c.Type != "code" {
		return c, nil
	}
	if n, ok := m["execution_count"].(json.Number); ok {
		count, err := n.Int64()
		if err != nil {
			return nil, fmt.Errorf("execution_count: %w", err)
		}
		c.Count = int(count)
	}
	delete(m, "execution_count")
	outputs, err := take[[]any](m, "outputs")
	if err != nil {
		return nil, err
	}
	for i, v := range outputs {
		out, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("output %d is no JSON object", i+1)
		}
		if isDisplay(out) {
			joinBundle(out["data"])
		} else if text, ok := out["text"]; ok {
			out["text"] = joined(text)
		}
		c.Outputs = append(c.Outputs, out)
	}
	return c, nil
}

// take removes a required field from m.
func take[T any](m map[string]any, key string) (T, error) {
	v, ok := m[key].(T)
	if !ok {
		return v, fmt.Errorf("%s is %T, want %T", key, m[key], v)
	}
	delete(m, key)
	return v, nil
}

func isDisplay(out map[string]any) bool {
	return out["output_type"] == "execute_result" || out["output_type"] == "display_data"
}

// Write replaces the file at path by nb, whole or not at all.
func (nb *Notebook) Write(path string) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a link stays one
	}
	mode := os.FileMode(0o644)
	if fi, err := os.Stat(path); err == nil {
		mode = fi.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("jupyter: write notebook: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(nb.Bytes())
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("jupyter: write notebook %s: %w", path, err)
	}
	return nil
}

// Bytes returns the file's content, byte for byte what Python's nbformat.write
// makes of the same notebook.
func (nb *Notebook) Bytes() []byte {
	top := maps.Clone(nb.extra)
	if top == nil {
		top = map[string]any{"nbformat": json.Number("4"), "nbformat_minor": json.Number("5")}
	}
	cells := make([]any, len(nb.Cells))
	for i, c := range nb.Cells {
		cells[i] = c.json()
	}
	top["cells"] = cells
	top["metadata"] = object(nb.Metadata)
	return append(appendJSON(nil, top, 0), '\n')
}

// json is c as it stands in the file: texts as lists of lines.
func (c *NotebookCell) json() map[string]any {
	m := maps.Clone(c.extra)
	if m == nil {
		m = make(map[string]any)
	}
	m["cell_type"] = c.Type
	m["source"] = splitLines(c.Source)
	m["metadata"] = object(c.Metadata)
	if c.ID != "" {
		m["id"] = c.ID
	}
	if attachments, ok := m["attachments"].(map[string]any); ok {
		split := make(map[string]any)
		for name, a := range attachments {
			split[name] = splitBundle(a)
		}
		m["attachments"] = split
	}
	if c.Type != "code" {
		return m
	}
	m["execution_count"] = nil
	if c.Count != 0 {
		m["execution_count"] = json.Number(fmt.Sprint(c.Count))
	}
	outputs := make([]any, len(c.Outputs))
	for i, out := range c.Outputs {
		out = maps.Clone(out)
		if isDisplay(out) {
			out["data"] = splitBundle(out["data"])
		} else if text, ok := out["text"].(string); ok && out["output_type"] == "stream" {
			out["text"] = splitLines(text)
		}
		outputs[i] = out
	}
	m["outputs"] = outputs
	return m
}

func object(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// joined joins a list of lines; anything else it returns as it is.
func joined(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var b strings.Builder
	for _, line := range list {
		s, ok := line.(string)
		if !ok {
			return v
		}
		b.WriteString(s)
	}
	return b.String()
}

func joinBundle(v any) {
	bundle, _ := v.(map[string]any)
	for mime, data := range bundle {
		isJSON := mime == "application/json" || strings.HasPrefix(mime, "application/") && strings.HasSuffix(mime, "+json")
		if !isJSON {
			bundle[mime] = joined(data)
		}
	}
}

// splitBundle splits what is likely text of several lines.
func splitBundle(v any) any {
	bundle, ok := v.(map[string]any)
	if !ok {
		return v
	}
	split := make(map[string]any, len(bundle))
	for mime, data := range bundle {
		s, ok := data.(string)
		if ok && (strings.HasPrefix(mime, "text/") || mime == "application/javascript" || mime == "image/svg+xml") {
			data = splitLines(s)
		}
		split[mime] = data
	}
	return split
}

// splitLines splits s after every line end, as Python's str.splitlines knows
// them: also \v, \f, the separators U+001C to U+001E, U+0085, U+2028, U+2029.
func splitLines(s string) []any {
	lines := []any{}
	for len(s) > 0 {
		end := len(s)
		for i, r := range s {
			switch r {
			case '\r':
				end = i + 1
				if strings.HasPrefix(s[end:], "\n") {
					end++
				}
			case '\n', '\v', '\f', 0x1c, 0x1d, 0x1e:
				end = i + 1
			case 0x85:
				end = i + 2
			case 0x2028, 0x2029:
				end = i + 3
			default:
				continue
			}
			break
		}
		lines = append(lines, s[:end])
		s = s[end:]
	}
	return lines
}
