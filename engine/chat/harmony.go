package chat

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// The format of gpt-oss (https://cookbook.openai.com/articles/openai-harmony):
// an answer is a row of messages, each with a header that names its channel,
// and maybe whom it is for:
//
//	<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…
//	<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|>

var harmonyTags = []string{"<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>"}

// A channel is what a message of the answer is.
type channel struct {
	kind EventKind
	tool string // a call of it
}

var (
	harmonyChannel   = regexp.MustCompile(`<\|channel\|>\s*(\w+)`)
	harmonyRecipient = regexp.MustCompile(`to=(?:functions\.)?([\w./:-]+)`)
)

// header is before a message of the answer.
func (p *Parser) header() bool {
	const headMost = 1024
	i := bytes.Index(p.buf, []byte("<|message|>"))
	if i < 0 {
		if !p.end && len(p.buf) < headMost && p.maybeHeader() {
			return false
		}
		p.state = (*Parser).rest
		return true
	}
	head := string(p.buf[:i])
	if !p.maybeHeader() {
		p.state = (*Parser).rest
		return true
	}
	p.channel = channel{kind: ContentDelta}
	if m := harmonyChannel.FindStringSubmatch(head); m != nil && m[1] == "analysis" {
		p.channel.kind = ReasoningDelta
	}
	if m := harmonyRecipient.FindStringSubmatch(head); m != nil && p.tools[m[1]] {
		p.channel.tool = m[1]
	}
	p.take(Markup, i+len("<|message|>"))
	p.state = (*Parser).body
	return true
}

// rest is what has no header: an answer of a model that forgot the format.
func (p *Parser) rest() bool { return p.text(ContentDelta) }

// maybeHeader says whether the text may be the beginning of a header.
func (p *Parser) maybeHeader() bool {
	for _, t := range []string{"<|channel|>", "<|start|>", "assistant", " to=", "to="} {
		if match(p.buf, t) != not {
			return true
		}
	}
	return false
}

// body is a message of the answer.
func (p *Parser) body() bool {
	tags := []string{"<|end|>", "<|start|>", "<|channel|>"}
	at, tag := len(p.buf), ""
	for _, t := range tags {
		if i := bytes.Index(p.buf[p.scan.at:], []byte(t)); i >= 0 && p.scan.at+i < at {
			at, tag = p.scan.at+i, t
		}
	}
	if tag == "" && p.channel.tool == "" {
		return p.text(p.channel.kind, tags...)
	}
	if tag == "" && !p.end && len(p.buf) < callMost {
		p.scan.at = max(0, len(p.buf)-len("<|channel|>"))
		return false
	}
	p.scan.at = 0
	if c := strings.TrimSpace(string(p.buf[:at])); p.channel.tool != "" && strings.HasPrefix(c, "{") && json.Valid([]byte(c)) {
		raw := string(p.buf[:at])
		p.buf = p.buf[at:]
		p.emit(ToolCall{Name: p.channel.tool, Arguments: c}, raw)
	} else {
		p.take(p.channel.kind, at)
	}
	if tag == "<|end|>" {
		p.take(Markup, len(tag))
	}
	p.state = (*Parser).header
	return len(p.buf) > 0
}
