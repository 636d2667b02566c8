package jupyter

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// ask answers the requests that do not touch the interpreter's state.
func (k *kernel) ask(ctx context.Context, m *message) any {
	var req struct {
		Code        string  `json:"code"`
		Cursor      *int    `json:"cursor_pos"`
		Detail      int     `json:"detail_level"`
		TargetName  *string `json:"target_name"`
		HistoryType string  `json:"hist_access_type"`
	}
	if err := json.Unmarshal(m.content, &req); err != nil {
		return errorContent(&Error{Name: "BadRequest", Value: m.header.Type + ": " + err.Error()})
	}
	cursor := utf8.RuneCountInString(req.Code)
	if req.Cursor != nil {
		cursor = min(max(*req.Cursor, 0), cursor)
	}
	switch m.header.Type {
	case "kernel_info_request":
		return k.info.content()
	case "complete_request":
		return completeContent(k.in.Complete(ctx, req.Code, cursor), cursor)
	case "inspect_request":
		b := k.in.Inspect(ctx, req.Code, cursor, req.Detail)
		c := content(b)
		c["status"], c["found"] = "ok", b != nil
		return c
	case "is_complete_request":
		return isCompleteContent(k.in.IsComplete(req.Code))
	case "history_request":
		return k.history.answer(m.content)
	case "comm_info_request":
		return k.comms.info(req.TargetName)
	case "shutdown_request": // clients of protocol 5.0 to 5.3 may send it on the shell
		return k.shutdown(m)
	case "interrupt_request":
		k.interrupt()
		return map[string]any{"status": "ok"}
	}
	return errorContent(&Error{Name: "UnknownRequest", Value: m.header.Type + " is not served by this kernel"})
}

func completeContent(c Completion, cursor int) any {
	if c.Matches == nil {
		c.Matches = []string{} // null would break front ends
		c.Start, c.End = cursor, cursor
	}
	metadata := map[string]any{}
	if len(c.Types) == len(c.Matches) && len(c.Types) > 0 {
		types := make([]any, len(c.Matches))
		for i, text := range c.Matches {
			types[i] = map[string]any{"text": text, "type": c.Types[i], "start": c.Start, "end": c.End}
		}
		metadata["_jupyter_types_experimental"] = types
	}
	return map[string]any{
		"status": "ok", "matches": c.Matches, "cursor_start": c.Start, "cursor_end": c.End, "metadata": metadata,
	}
}

func isCompleteContent(c Completeness) any {
	if c.Status == "" {
		c.Status = Unknown
	}
	reply := map[string]any{"status": c.Status}
	if c.Status == Incomplete {
		reply["indent"] = c.Indent
	}
	return reply
}

// content is the content of kernel_info_reply.
func (i Info) content() map[string]any {
	links := make([]map[string]string, 0, len(i.HelpLinks))
	for _, l := range i.HelpLinks {
		links = append(links, map[string]string{"text": l.Text, "url": l.URL})
	}
	return map[string]any{
		"status":                 "ok",
		"protocol_version":       protocolVersion,
		"implementation":         i.Implementation,
		"implementation_version": i.Version,
		"banner":                 i.Banner,
		"debugger":               false,
		"help_links":             links,
		"language_info":          i.Language.content(),
		"supported_features":     []string{},
	}
}

// content is l as language_info, of a kernel or a notebook.
func (l Language) content() map[string]any {
	info := map[string]any{"name": l.Name, "version": l.Version, "mimetype": l.MIMEType, "file_extension": l.FileExtension}
	for key, v := range map[string]string{"pygments_lexer": l.PygmentsLexer, "codemirror_mode": l.CodeMirrorMode} {
		if v != "" {
			info[key] = v
		}
	}
	if ext := l.FileExtension; ext != "" {
		info["nbconvert_exporter"] = "script"
		if !strings.HasPrefix(ext, ".") {
			info["file_extension"] = "." + ext
		}
	}
	return info
}
