package jupyter

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"sync"
)

// maxHistory is how many cells the history remembers.
const maxHistory = 10000

// A history holds the cells of this kernel's life: session 1, in memory.
type history struct {
	mu    sync.Mutex
	cells []historyCell
}

type historyCell struct {
	line          int
	input, output string
}

func (h *history) add(line int, input, output string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.cells) >= maxHistory {
		h.cells = slices.Delete(h.cells, 0, maxHistory/10)
	}
	h.cells = append(h.cells, historyCell{line, input, output})
}

// answer is the content of history_reply for that of a history_request.
func (h *history) answer(content json.RawMessage) any {
	req := struct {
		Output  bool   `json:"output"`
		Type    string `json:"hist_access_type"`
		Session int    `json:"session"`
		Start   int    `json:"start"`
		Stop    *int   `json:"stop"`
		N       *int   `json:"n"`
		Pattern string `json:"pattern"`
		Unique  bool   `json:"unique"`
	}{Pattern: "*"}
	if err := json.Unmarshal(content, &req); err != nil {
		return errorContent(&Error{Name: "BadRequest", Value: "history_request: " + err.Error()})
	}
	h.mu.Lock()
	cells := slices.Clone(h.cells)
	h.mu.Unlock()

	switch req.Type {
	case "range":
		// 0 is this session, as is 1; -1 would be the one before.
		if req.Session != 0 && req.Session != 1 {
			cells = nil
		}
		cells = slices.DeleteFunc(cells, func(c historyCell) bool {
			return c.line < req.Start || req.Stop != nil && c.line >= *req.Stop
		})
	case "search":
		cells = slices.DeleteFunc(cells, func(c historyCell) bool { return !globMatch(req.Pattern, c.input) })
		if req.Unique {
			cells = latestOfEach(cells)
		}
	case "tail", "":
	default:
		return errorContent(&Error{Name: "BadRequest", Value: "hist_access_type " + req.Type + ": only range, tail and search are known"})
	}
	if n := req.N; n != nil && req.Type != "range" {
		cells = cells[len(cells)-min(max(*n, 0), len(cells)):]
	}
	entries := make([][3]any, 0, len(cells))
	for _, c := range cells {
		var what any = c.input
		if req.Output {
			var output any
			if c.output != "" {
				output = c.output
			}
			what = [2]any{c.input, output}
		}
		entries = append(entries, [3]any{1, c.line, what})
	}
	return map[string]any{"status": "ok", "history": entries}
}

// latestOfEach keeps, of cells with the same input, the last.
func latestOfEach(cells []historyCell) []historyCell {
	last := make(map[string]int)
	for i, c := range cells {
		last[c.input] = i
	}
	var kept []historyCell
	for i, c := range cells {
		if last[c.input] == i {
			kept = append(kept, c)
		}
	}
	return kept
}

// globMatch is SQLite's GLOB, which IPython's history uses: path.Match, where *
// and ? match a slash as well. A malformed pattern matches nothing.
func globMatch(pattern, s string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(s, "/", slash))
	return ok && err == nil
}
