package magics

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/magics/expr"
)

// A batchLine is a line of a file for --batch: a text to continue or messages
// to answer, an id that the answer gets, and options that are for it alone, in
// the words of OpenAI's API.
type batchLine struct {
	number   int    // from 1, as editors count
	sum      string // of its bytes
	id       json.RawMessage
	prompt   string
	messages json.RawMessage // nil: prompt is the text
	options  map[string]json.RawMessage
	err      error // *lineError: it cannot be asked
}

// A lineError is a mistake in one line.
type lineError struct{ error }

func lineErrorf(format string, args ...any) error { return &lineError{fmt.Errorf(format, args...)} }

// readBatch reads the lines but for blank ones.
func readBatch(path string) (lines []batchLine, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--batch: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	number := 0
	for text := range bytes.Lines(data) {
		number++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		sum := sha256.Sum256(text)
		line := batchLine{number: number, sum: hex.EncodeToString(sum[:6])}
		if err := line.read(text); err != nil {
			line.err = &lineError{err}
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("--batch: %s has no lines; each is {\"prompt\": …} or {\"messages\": …}", path)
	}
	return lines, nil
}

func (l *batchLine) read(text []byte) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("want a JSON object, {\"prompt\": …} or {\"messages\": …}: %v", err)
	}
	take := func(name string) json.RawMessage {
		v := fields[name]
		delete(fields, name)
		if string(v) == "null" {
			return nil
		}
		return v
	}
	l.id = take("id")
	if id := take("custom_id"); l.id == nil {
		l.id = id
	}
	if body := take("body"); body != nil { // a line of OpenAI's batch files
		take("method")
		take("url")
		inner := map[string]json.RawMessage{}
		if err := json.Unmarshal(body, &inner); err != nil {
			return fmt.Errorf("body: want a JSON object: %v", err)
		}
		delete(inner, "model") // the loaded one answers
		maps.Copy(fields, inner)
	}
	prompt := take("prompt")
	l.messages = take("messages")
	switch {
	case (prompt == nil) == (l.messages == nil):
		return errors.New("want one of prompt and messages")
	case prompt != nil && (json.Unmarshal(prompt, &l.prompt) != nil || l.prompt == ""):
		return errors.New("prompt: want a text")
	case l.messages != nil && l.messages[0] != '[':
		return errors.New("messages: want a list")
	}
	for _, name := range []string{"model", "stream", "n"} {
		if _, set := fields[name]; set {
			return fmt.Errorf("%s is not a line's to say; leave it out", name)
		}
	}
	l.options = fields
	return nil
}

// stops reads "stop": a text or a list of them.
func readStops(v json.RawMessage) (stops []string, err error) {
	var one string
	if json.Unmarshal(v, &one) == nil {
		stops = []string{one}
	} else if json.Unmarshal(v, &stops) != nil {
		return nil, lineErrorf("stop: want a text or a list of texts")
	}
	if slices.Contains(stops, "") {
		return nil, lineErrorf("stop: want texts that are not empty")
	}
	return stops, nil
}

// generate sets a line's options for a model of this process, in o and r.
func (l *batchLine) generate(o *engine.GenerateOptions, r *chat.Request) error {
	s := &o.Sampler
	for name, v := range l.options {
		var to any
		switch name {
		case "max_tokens", "max_completion_tokens":
			to = &o.MaxTokens
		case "temperature":
			to = &s.Temperature
		case "top_k":
			to = &s.TopK
		case "top_p":
			to = &s.TopP
		case "min_p":
			to = &s.MinP
		case "repeat_penalty", "repetition_penalty":
			to = &s.RepeatPenalty
		case "seed":
			to = &s.Seed
		case "tools":
			to = &r.Tools
		case "chat_template_kwargs":
			to = &r.Options.Variables
		case "stop":
			var err error
			if o.Stop, err = readStops(v); err != nil {
				return err
			}
			continue
		default:
			known := []string{"id", "prompt", "messages", "max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop", "tools", "chat_template_kwargs"}
			if best := expr.Closest(name, known); best != "" {
				return lineErrorf("unknown field %s; did you mean %s?", name, best)
			}
			return lineErrorf("unknown field %s; want some of %v", name, known)
		}
		if err := json.Unmarshal(v, to); err != nil {
			return lineErrorf("%s: %s is not what it takes", name, v)
		}
	}
	if o.MaxTokens < 0 {
		return lineErrorf("max_tokens: %d: want 0 or more", o.MaxTokens)
	}
	if err := s.Check(0); err != nil {
		return &lineError{err}
	}
	return nil
}
