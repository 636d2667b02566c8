package server

import (
	"context"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

// says generates a text in pieces of three bytes.
func says(text string) fake {
	return func(ctx context.Context, yield func(engine.Token, error) bool) {
		for from := 0; from < len(text); from += 3 {
			if !yield(engine.Token{ID: 5, Text: text[from:min(from+3, len(text))]}, nil) {
				return
			}
		}
	}
}

// TestSaid: what a model thinks, says and calls comes out as such on every
// route of chats.
func TestSaid(t *testing.T) {
	const call = `<tool_call>{"name":"feed","arguments":{"pet":"cat"}}</tool_call>`
	const tools = `,"tools":[{"type":"function","function":{"name":"feed"}}]`
	for _, c := range []struct {
		name, said, more          string
		reasoning, content, calls string
		finish                    string
	}{
		{"plain", "Hello.", "", "", "Hello.", "", "stop"},
		{"thought", "<think>\nHm.\n</think>\n\nHello.", "", "Hm.", "Hello.", "", "stop"},
		{"call", call, tools, "", "", `feed{"pet":"cat"}`, "tool_calls"},
		{"thought and call", "<think>\nHungry?\n</think>\n\n" + call, tools, "Hungry?", "", `feed{"pet":"cat"}`, "tool_calls"},
		{"text and two calls", "Yes. " + call + "\n" + call, tools, "", "Yes.", `feed{"pet":"cat"}feed{"pet":"cat"}`, "tool_calls"},
		{"one call at a time", call + "\n" + call, tools + `,"parallel_tool_calls":false`, "", "", `feed{"pet":"cat"}`, "tool_calls"},
		{"tools that may not be called", call, tools + `,"tool_choice":"none"`, "", call, "", "stop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			check := func(route, reasoning, content, calls string) {
				t.Helper()
				if strings.TrimSpace(reasoning) != c.reasoning || strings.TrimSpace(content) != c.content || calls != c.calls {
					t.Errorf("%s: thought %q, said %q, called %q; want %q, %q, %q", route, reasoning, content, calls, c.reasoning, c.content, c.calls)
				}
			}
			body := `{"messages":[{"role":"user","content":"Hi"}]` + c.more
			s := faked(t, says(c.said), nil)
			m := post[openai.ChatResponse](t, s, "/v1/chat/completions", body+"}").Choices[0]
			calls := ""
			for _, call := range m.Message.ToolCalls {
				calls += call.Function.Name + call.Function.Arguments
			}
			check("chat", m.Message.ReasoningContent, m.Message.Text(), calls)
			if m.FinishReason != c.finish {
				t.Errorf("finish_reason %s, want %s", m.FinishReason, c.finish)
			}
			chunks, _ := events[openai.ChatChunk](t, s, "/v1/chat/completions", body+`,"stream":true}`)
			reasoning, content, calls := "", "", ""
			for _, chunk := range chunks {
				d := chunk.Choices[0].Delta
				if reasoning += d.ReasoningContent; d.Content != nil {
					content += *d.Content
				}
				for _, call := range d.ToolCalls {
					calls += call.Function.Name + call.Function.Arguments
				}
			}
			check("stream", reasoning, content, calls)

			flat := strings.NewReplacer(`"messages":[{"role":"user","content":"Hi"}]`, `"input":"Hi"`, `"function":{"name":"feed"}`, `"name":"feed"`).Replace(body)
			reasoning, content, calls = "", "", ""
			items := post[openai.Response](t, s, "/v1/responses", flat+"}").Output
			streamed, _ := events[openai.ResponseEvent](t, s, "/v1/responses", flat+`,"stream":true}`)
			for _, item := range items {
				switch item.Type {
				case "reasoning":
					reasoning += item.Content[0].Text
				case "message":
					content += item.Content[0].Text
				case "function_call":
					calls += item.Name + *item.Arguments
				}
			}
			check("responses", reasoning, content, calls)
			last := streamed[len(streamed)-1]
			if last.Type != "response.completed" || len(last.Response.Output) != len(items) {
				t.Errorf("streamed response ends with %s and %d items, want %d", last.Type, len(last.Response.Output), len(items))
			}
		})
	}
}
