package chat_test

import (
	"encoding/json"
	"testing"

	"github.com/llcuda/llcuda/engine/chat"
)

// TestMessageJSON reads messages as clients of OpenAI's API write them and
// writes them back.
func TestMessageJSON(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"text":         {`{"role":"user","content":"a<b"}`, `{"role":"user","content":"a<b"}`},
		"null":         {`{"role":"user","content":null}`, `{"role":"user","content":""}`},
		"no content":   {`{"role":"assistant"}`, `{"role":"assistant","content":""}`},
		"unknown keys": {`{"role":"user","content":"x","refusal":null,"annotations":[]}`, `{"role":"user","content":"x"}`},
		"name":         {`{"role":"user","content":"x","name":"Ann"}`, `{"role":"user","content":"x","name":"Ann"}`},
		"parts":        {`{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, `{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`},
		"input parts":  {`{"role":"user","content":[{"type":"input_text","text":"a"}]}`, `{"role":"user","content":[{"type":"text","text":"a"}]}`},
		"no parts":     {`{"role":"user","content":[]}`, `{"role":"user","content":[]}`},
		"image":        {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}`, `{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}`},
		"reasoning":    {`{"role":"assistant","content":"x","reasoning_content":"r"}`, `{"role":"assistant","content":"x","reasoning_content":"r"}`},
		"reasoning of others": {`{"role":"assistant","content":"x","reasoning":"r"}`,
			`{"role":"assistant","content":"x","reasoning_content":"r"}`},
		"call": {`{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"<\"}"}}]}`,
			`{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"<\"}"}}]}`},
		"arguments are an object": {`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"b": 1, "a": 2}}}]}`,
			`{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"b\": 1, \"a\": 2}"}}]}`},
		"bare call": {`{"role":"assistant","tool_calls":[{"name":"f","arguments":{}}]}`,
			`{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}`},
		"result": {`{"role":"tool","content":"3","tool_call_id":"c"}`, `{"role":"tool","content":"3","tool_call_id":"c"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var m, again chat.Message
			if err := json.Unmarshal([]byte(c.in), &m); err != nil {
				t.Fatal(err)
			}
			got, err := m.MarshalJSON()
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, error %v\nwant %s", got, err, c.want)
			}
			if err := json.Unmarshal(got, &again); err != nil {
				t.Error(err)
			}
		})
	}
	for _, wrong := range []string{`{"role":"user","content":7}`, `{"role":"user","content":{}}`, `{"role":7}`, `{"role":"user","content":["a"]}`,
		`{"role":"assistant","tool_calls":{}}`, `[]`} {
		if err := json.Unmarshal([]byte(wrong), new(chat.Message)); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
}

func TestToolJSON(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"function": {`{"type":"function","function":{"parameters":{},"name":"f","extra":1}}`, `{"type":"function","function":{"parameters":{},"name":"f","extra":1}}`},
		"bare":     {`{"name":"f","description":"d"}`, `{"type":"function","function":{"name":"f","description":"d"}}`},
		"flat":     {`{"type":"function","name":"f","parameters":{"a":1},"strict":true}`, `{"type":"function","function":{"name":"f","parameters":{"a":1}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var tool chat.Tool
			if err := json.Unmarshal([]byte(c.in), &tool); err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(tool); err != nil || string(got) != c.want || tool.Name != "f" {
				t.Errorf("%s: got %s, error %v\nwant %s", tool.Name, got, err, c.want)
			}
		})
	}
	for _, wrong := range []string{`{}`, `{"type":"function"}`, `{"type":"web_search"}`, `7`} {
		if err := json.Unmarshal([]byte(wrong), new(chat.Tool)); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
}
