package chat_test

import (
	"fmt"

	"github.com/llcuda/llcuda/engine/chat"
)

const chatML = `{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

func ExampleTemplate_Render() {
	t, err := chat.Parse(map[string]string{"": chatML}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := t.Render([]chat.Message{
		{Role: chat.System, Content: "Be brief."},
		{Role: chat.User, Content: "What is 2+2?"},
	}, nil, chat.Options{AddGenerationPrompt: true})
	fmt.Print(text, err)
	// Output:
	// <|im_start|>system
	// Be brief.<|im_end|>
	// <|im_start|>user
	// What is 2+2?<|im_end|>
	// <|im_start|>assistant
	// <nil>
}

func ExampleParser() {
	t, err := chat.Parse(map[string]string{"": chatML}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := t.NewParser("", []chat.Tool{{Name: "add"}})
	var m chat.Collector
	for _, piece := range []string{"<thi", "nk>Two nu", "mbers.</think>\n\n<tool_", `call>{"name": "add", "argum`, `ents": {"a": 2, "b": 2}}</tool_call>`} {
		for _, e := range p.Push(piece) {
			m.Add(e)
		}
	}
	for _, e := range p.Close() {
		m.Add(e)
	}
	fmt.Println(m.Message.Reasoning)
	fmt.Println(m.Message.ToolCalls[0].Name, m.Message.ToolCalls[0].Arguments)
	// Output:
	// Two numbers.
	// add {"a": 2, "b": 2}
}
