package chat

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// readBare reads calls that are a JSON value at the start of the answer, as
// Llama 3.1 and 3.2 write them and as models without a form of their own do,
// maybe in a code fence. Only names of known tools make it a call: it could be
// an answer in JSON as well.
func readBare(p *Parser) (int, []ToolCall, verdict) {
	from, fence := 0, false
	if p.buf[0] == '`' {
		line := bytes.IndexByte(p.buf, '\n')
		if line < 0 {
			return 0, nil, longer(len(p.buf) < 16)
		}
		switch string(bytes.TrimSpace(p.buf[3:line])) {
		case "", "json", "tool_call", "tool_code":
		default:
			return 0, nil, wrong
		}
		from, fence = line+1, true
		from += blanks(p.buf[from:])
	}
	if v := beginsObject(p.buf[from:]); v != yes {
		return 0, nil, v
	}
	end, calls, v := p.jsonCalls(from, true)
	if slices.ContainsFunc(calls, func(c ToolCall) bool { return !p.tools[c.Name] }) {
		return 0, nil, wrong
	}
	if fence {
		return p.closing(end, calls, v, "```")
	}
	return end, calls, v
}

// readHermes reads <tool_call>{"name": …, "arguments": …}</tool_call>, as
// Hermes and Qwen write it
// (https://github.com/NousResearch/Hermes-Function-Calling), and the tags
// inside of Qwen3-Coder.
func readHermes(p *Parser) (int, []ToolCall, verdict) {
	from := len(p.form.open)
	from += blanks(p.buf[from:])
	if from == len(p.buf) {
		return 0, nil, unknown
	}
	if m := match(p.buf[from:], "<function="); m != not {
		return readTags(p, from)
	}
	end, calls, v := p.jsonCalls(from, false)
	return p.closing(end, calls, v, "</tool_call>")
}

// jsonCalls reads calls that are a JSON value; see callsOf.
func (p *Parser) jsonCalls(from int, strict bool) (int, []ToolCall, verdict) {
	end, v := p.scan.value(p.buf, from)
	if v != yes {
		return 0, nil, v
	}
	calls := callsOf(p.buf[from:end], strict)
	if calls == nil {
		return 0, nil, wrong
	}
	return end, calls, yes
}

// namedCall reads the arguments of a call whose name came before them.
func (p *Parser) namedCall(c ToolCall, from int) (int, []ToolCall, verdict) {
	end, v := p.scan.value(p.buf, from)
	if v != yes {
		return 0, nil, v
	}
	c.Arguments = string(p.buf[from:end])
	if !callName.MatchString(c.Name) || c.Arguments[0] != '{' || !json.Valid(p.buf[from:end]) {
		return 0, nil, wrong
	}
	return end, []ToolCall{c}, yes
}

// closing skips blanks behind calls and a closing tag, which models forget at
// times.
func (p *Parser) closing(end int, calls []ToolCall, v verdict, tag string) (int, []ToolCall, verdict) {
	if v != yes {
		return 0, nil, v
	}
	n := end + blanks(p.buf[end:])
	switch match(p.buf[n:], tag) {
	case whole:
		end = n + len(tag)
	case part:
		if !p.end {
			return 0, nil, unknown
		}
		end = len(p.buf)
	}
	return end, calls, yes
}

// readTags reads <function=NAME><parameter=KEY>\nVALUE\n</parameter>…
// </function></tool_call>. Values that are JSON but no strings are taken so.
func readTags(p *Parser, from int) (int, []ToolCall, verdict) {
	const last = "</tool_call>"
	start := max(from, p.scan.at)
	i := bytes.Index(p.buf[start:], []byte(last))
	if i < 0 {
		p.scan.at = max(from, len(p.buf)-len(last))
		return 0, nil, unknown
	}
	end := start + i
	m := functionTag.FindSubmatch(p.buf[from:end])
	if m == nil {
		return 0, nil, wrong
	}
	arguments := []byte{'{'}
	for i, parameter := range parameterTag.FindAllSubmatch(m[2], -1) {
		if i > 0 {
			arguments = append(arguments, ", "...)
		}
		key, _ := encode(string(parameter[1]))
		value := bytes.TrimSuffix(bytes.TrimPrefix(parameter[2], []byte("\n")), []byte("\n"))
		if !json.Valid(value) || bytes.HasPrefix(bytes.TrimSpace(value), []byte(`"`)) {
			value, _ = encode(string(value))
		}
		arguments = slices.Concat(arguments, key, []byte(": "), value)
	}
	return end + len(last), []ToolCall{{Name: string(m[1]), Arguments: string(arguments) + "}"}}, yes
}

var (
	functionTag  = regexp.MustCompile(`(?s)^<function=([^<>\s]+)>(.*?)(?:</function>)?\s*$`)
	parameterTag = regexp.MustCompile(`(?s)<parameter=([^<>\s]+)>(.*?)</parameter>`)
	callName     = regexp.MustCompile(`^[\w./:-]{1,128}$`)
)

// readMistral reads [TOOL_CALLS] [{"name": …, "arguments": …}, …] and the
// newer [TOOL_CALLS]name[CALL_ID]id[ARGS]{…}
// (https://github.com/mistralai/mistral-common).
func readMistral(p *Parser) (int, []ToolCall, verdict) {
	from := len(p.form.open)
	from += blanks(p.buf[from:])
	if from == len(p.buf) {
		return 0, nil, unknown
	}
	if p.buf[from] == '[' || p.buf[from] == '{' {
		return p.jsonCalls(from, false)
	}
	head := p.buf[from:min(len(p.buf), from+512)]
	open := bytes.IndexByte(head, '{')
	if open < 0 {
		return 0, nil, longer(len(head) < 512)
	}
	name := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(head[:open])), "[ARGS]"))
	name, id, _ := strings.Cut(name, "[CALL_ID]")
	c := ToolCall{ID: strings.TrimSpace(id), Name: strings.TrimSpace(name)}
	if !callName.MatchString(c.Name) {
		return 0, nil, wrong
	}
	return p.namedCall(c, from+open)
}

// readPython reads what Llama 3 writes behind <|python_tag|>: JSON, a call of
// a built-in tool (name.call(key="value")), or code for the tool that runs
// Python (https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1).
func readPython(p *Parser) (int, []ToolCall, verdict) {
	from := len(p.form.open)
	from += blanks(p.buf[from:])
	if from == len(p.buf) {
		return 0, nil, unknown
	}
	if p.buf[from] == '{' {
		if end, calls, v := p.jsonCalls(from, false); v == yes {
			return end, calls, yes
		}
	}
	if !p.end {
		return 0, nil, unknown
	}
	text := strings.TrimSpace(string(p.buf[from:]))
	if m := builtinCall.FindStringSubmatch(text); m != nil && p.tools[m[1]] {
		var arguments []string
		for _, a := range builtinArgument.FindAllStringSubmatch(m[2], -1) {
			key, _ := encode(a[1])
			arguments = append(arguments, string(key)+": "+a[2])
		}
		if object := "{" + strings.Join(arguments, ", ") + "}"; json.Valid([]byte(object)) {
			return len(p.buf), []ToolCall{{Name: m[1], Arguments: object}}, yes
		}
	}
	for _, name := range []string{"python", "ipython", "code_interpreter"} {
		if p.tools[name] {
			code, _ := encode(text)
			return len(p.buf), []ToolCall{{Name: name, Arguments: `{"code": ` + string(code) + "}"}}, yes
		}
	}
	return 0, nil, wrong
}

var (
	builtinCall     = regexp.MustCompile(`(?s)^([\w]+)\.call\((.*)\)$`)
	builtinArgument = regexp.MustCompile(`(\w+)\s*=\s*("(?:[^"\\]|\\.)*")`)
)

// readDeepSeek reads <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME, a fence of
// JSON and <｜tool▁call▁end｜> (DeepSeek R1), or the same without the word and
// the fence (V3.1).
func readDeepSeek(p *Parser) (int, []ToolCall, verdict) {
	const last = "<｜tool▁call▁end｜>"
	from := len(p.form.open)
	start := max(from, p.scan.at)
	i := bytes.Index(p.buf[start:], []byte(last))
	if i < 0 {
		p.scan.at = max(from, len(p.buf)-len(last))
		return 0, nil, unknown
	}
	end := start + i
	name, rest, ok := strings.Cut(string(p.buf[from:end]), "<｜tool▁sep｜>")
	if ok && strings.TrimSpace(name) == "function" {
		name, rest, ok = strings.Cut(rest, "\n")
	}
	rest = strings.TrimSpace(rest)
	rest = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(rest, "```"), "json"), "```"))
	name = strings.TrimSpace(name)
	if !ok || !callName.MatchString(name) || !json.Valid([]byte(rest)) {
		return 0, nil, wrong
	}
	return end + len(last), []ToolCall{{Name: name, Arguments: rest}}, yes
}

// readFunction reads <function=NAME>{…}</function>, which Llama 3.1 writes
// where its makers' prompt for tools of one's own is used.
func readFunction(p *Parser) (int, []ToolCall, verdict) {
	head := p.buf[:min(len(p.buf), 160)]
	open := bytes.IndexByte(head, '>')
	if open < 0 {
		return 0, nil, longer(len(head) < 160)
	}
	c := ToolCall{Name: string(head[len(p.form.open):open])}
	from := open + 1 + blanks(p.buf[open+1:])
	end, calls, v := p.namedCall(c, from)
	return p.closing(end, calls, v, "</function>")
}

// readPhi reads <|tool_call|>[{"name": …, "arguments": …}]<|/tool_call|>, as
// Phi-4-mini writes it, and Granite without the end.
func readPhi(p *Parser) (int, []ToolCall, verdict) {
	from := len(p.form.open)
	from += blanks(p.buf[from:])
	end, calls, v := p.jsonCalls(from, false)
	return p.closing(end, calls, v, "<|/tool_call|>")
}

// readMarker takes a tag that says nothing.
func readMarker(p *Parser) (int, []ToolCall, verdict) { return len(p.form.open), nil, yes }

func longer(may bool) verdict {
	if may {
		return unknown
	}
	return wrong
}
