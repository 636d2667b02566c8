package chat_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/demo"
)

// plainTemplate writes roles as words: the demo model has no tokens for them.
const plainTemplate = `{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}<|endoftext|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`

// cutting drops what an assistant said, but for the last time: as templates do
// with reasoning.
const cutting = `{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content if m.role != 'assistant' else 'something' }}<|endoftext|>{% endfor %}assistant: `

func session(t testing.TB, source string, size int) (*chat.Session, *engine.Session) {
	t.Helper()
	f, err := demo.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.LoadFile(context.Background(), f, engine.Options{Context: size})
	if err != nil {
		t.Fatal(err)
	}
	tm, err := chat.Parse(map[string]string{"": source}, m.Tokenizer())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); m.Close(); f.Close() })
	return tm.NewSession(s), s
}

// answer asks and adds the answer to the messages.
func answer(t testing.TB, s *chat.Session, messages *[]chat.Message, question string, r chat.Request) chat.Stats {
	t.Helper()
	*messages = append(*messages, chat.Message{Role: chat.User, Content: question})
	var stats chat.Stats
	var c chat.Collector
	r.Messages, r.Stats = *messages, &stats
	for e, err := range s.Answer(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		c.Add(e)
	}
	c.Message.Role = chat.Assistant
	*messages = append(*messages, c.Message)
	return stats
}

const story = "Once there was a little dog who lived in a house by the sea with a boy. Every day they went to the water. "

// TestReuse counts the tokens that a turn computes: those of the new message,
// and of the answer before the last one that the model chose but has not read.
func TestReuse(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		least  float64 // part of the prompt that is reused at least
	}{"template": {plainTemplate, 0.9}, "completion": {"", 0.9}, "history is rewritten": {cutting, 0.7}} {
		t.Run(name, func(t *testing.T) {
			s, es := session(t, c.source, 512)
			var messages []chat.Message
			o := chat.Request{Generate: engine.GenerateOptions{MaxTokens: 30}}
			first := answer(t, s, &messages, strings.Repeat(story, 9), o)
			if first.Reused != 0 || first.Prompt != first.PromptTokens || first.Prompt < 200 {
				t.Errorf("the first turn: %+v", first)
			}
			for range 2 {
				held := es.Position()
				st := answer(t, s, &messages, "And then?", o)
				if st.Reused+st.PromptTokens != st.Prompt || float64(st.Reused) < c.least*float64(st.Prompt) {
					t.Errorf("of %d tokens of the prompt, with %d in the session, %d were reused and %d computed", st.Prompt, held, st.Reused, st.PromptTokens)
				}
				if c.source != cutting && st.Reused < held-1 {
					t.Errorf("%d tokens reused, want %d: all that were read", st.Reused, held-1)
				}
			}
		})
	}
}

// TestReuseSaysTheSame compares the answers of a session that goes on with
// those of one that reads everything again.
func TestReuseSaysTheSame(t *testing.T) {
	kept, _ := session(t, plainTemplate, 512)
	fresh, es := session(t, plainTemplate, 512)
	var a, b []chat.Message
	o := chat.Request{Generate: engine.GenerateOptions{MaxTokens: 25}}
	for _, question := range []string{"Tell me of a dog.", "What did it eat?", "Why?"} {
		answer(t, kept, &a, question, o)
		es.Reset()
		answer(t, fresh, &b, question, o)
		if x, y := a[len(a)-1].Content, b[len(b)-1].Content; x != y || x == "" {
			t.Errorf("%s: %q with what was read before, %q without", question, x, y)
		}
	}
}

// TestForeignText has somebody else use the session between two turns.
func TestForeignText(t *testing.T) {
	s, es := session(t, plainTemplate, 512)
	var messages []chat.Message
	o := chat.Request{Generate: engine.GenerateOptions{MaxTokens: 10}}
	answer(t, s, &messages, story, o)
	es.Reset()
	if _, err := es.Eval(t.Context(), []int32{5, 6, 7}); err != nil {
		t.Fatal(err)
	}
	if st := answer(t, s, &messages, "And then?", o); st.Reused > 0 || st.PromptTokens != st.Prompt {
		t.Errorf("after another text: %+v", st)
	}
}

func TestContextFull(t *testing.T) {
	s, _ := session(t, plainTemplate, 256)
	messages := []chat.Message{{Role: chat.System, Content: "Be kind."}}
	r := chat.Request{Generate: engine.GenerateOptions{MaxTokens: 40}}
	left := 0
	for i := range 12 {
		before := left
		st := answer(t, s, &messages, story, r)
		left = st.LeftOut
		if left < before || left%2 != 0 || st.Prompt+40 > 256 {
			t.Fatalf("turn %d: %d messages left out, %d before; prompt of %d tokens", i, left, before, st.Prompt)
		}
		if left == before && i > 0 && float64(st.Reused) < 0.5*float64(st.Prompt) {
			t.Errorf("turn %d: only %d of %d tokens reused", i, st.Reused, st.Prompt)
		}
		r.LeftOut = left
	}
	if left == 0 {
		t.Error("12 turns fit into 256 tokens")
	}
	// A long conversation at once: as much of its end as fits stays.
	at := len(messages)
	for range 2000 {
		messages = append(messages, chat.Message{Role: chat.User, Content: "Hello."}, chat.Message{Role: chat.Assistant, Content: "Hi!"})
	}
	st := answer(t, s, &messages, "And now?", chat.Request{Generate: engine.GenerateOptions{MaxTokens: 40}})
	if st.LeftOut < at || st.LeftOut%2 != 0 || st.Prompt+64 > 256 || st.Prompt < 256-64-20 {
		t.Errorf("%d of %d messages left out; prompt of %d tokens", st.LeftOut, len(messages), st.Prompt)
	}
	var full *engine.ContextError
	for _, err := range s.Answer(t.Context(), chat.Request{Messages: []chat.Message{{Role: chat.User, Content: strings.Repeat(story, 20)}}}) {
		if !errors.As(err, &full) {
			t.Errorf("a message longer than the context: error %v", err)
		}
	}
}

func TestCancelled(t *testing.T) {
	s, _ := session(t, plainTemplate, 512)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var c chat.Collector
	var last error
	n := 0
	messages := []chat.Message{{Role: chat.User, Content: "Tell me of a dog."}}
	for e, err := range s.Answer(ctx, chat.Request{Messages: messages}) {
		if last = err; err == nil {
			c.Add(e)
		}
		if n++; n == 5 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) || c.Message.Content == "" {
		t.Fatalf("got %q, error %v", c.Message.Content, last)
	}
	messages = append(messages, c.Message)
	if st := answer(t, s, &messages, "Go on.", chat.Request{Generate: engine.GenerateOptions{MaxTokens: 5}}); st.Reused == 0 {
		t.Errorf("nothing reused of what was interrupted: %+v", st)
	}
}

// BenchmarkSecondTurn measures what the second turn of a chat of 2,000 tokens
// costs before its first token, beside the first turn. It needs a real model.
func BenchmarkSecondTurn(b *testing.B) {
	m, err := engine.Load(b.Context(), realModel("smollm2-135m-q4_1.gguf"), engine.Options{})
	if err != nil {
		b.Skip("no real model: ", err)
	}
	defer m.Close()
	tm, err := chat.NewTemplate(m)
	if err != nil {
		b.Fatal(err)
	}
	es, err := m.NewSession()
	if err != nil {
		b.Fatal(err)
	}
	defer es.Close()
	s := tm.NewSession(es)
	o := chat.Request{Generate: engine.GenerateOptions{MaxTokens: 16}}
	var first, second time.Duration
	for b.Loop() {
		es.Reset()
		var messages []chat.Message
		st := answer(b, s, &messages, strings.Repeat(story, 2000/25), o)
		first += st.FirstToken
		b.ReportMetric(float64(st.Prompt), "prompt_tokens")
		st = answer(b, s, &messages, "What happened then?", o)
		second += st.FirstToken
		b.ReportMetric(float64(st.Reused), "reused_tokens")
	}
	b.ReportMetric(first.Seconds()*1e3/float64(b.N), "ms_first")
	b.ReportMetric(second.Seconds()*1e3/float64(b.N), "ms_second")
	b.ReportMetric(first.Seconds()/second.Seconds(), "times")
}

// TestVisible lets a control token be seen.
func TestVisible(t *testing.T) {
	_, es := session(t, "", 64)
	id, _ := es.Model().Tokenizer().ID("<|endoftext|>")
	for _, c := range []struct {
		visible []int32
		want    string
	}{{nil, ""}, {[]int32{id}, "<|endoftext|><|endoftext|>"}} {
		o := engine.GenerateOptions{MaxTokens: 2, IgnoreEOG: true, Visible: c.visible, Sampler: engine.Sampler{Bias: map[int32]float32{id: 1e9}}}
		got := ""
		for tok, err := range es.Generate(t.Context(), []int32{5}, o) {
			if err != nil {
				t.Fatal(err)
			}
			got += tok.Text
		}
		if got != c.want {
			t.Errorf("visible %v: %q, want %q", c.visible, got, c.want)
		}
	}
}

// TestThinkingOpened: what follows a <think> of the template is reasoning.
func TestThinkingOpened(t *testing.T) {
	s, _ := session(t, strings.Replace(plainTemplate, "assistant: {%", "assistant: <think>\n{%", 1), 256)
	var messages []chat.Message
	answer(t, s, &messages, "Tell me of a dog.", chat.Request{Generate: engine.GenerateOptions{MaxTokens: 8}})
	if m := messages[1]; m.Reasoning == "" || m.Content != "" {
		t.Errorf("got %+v", m)
	}
	if st := answer(t, s, &messages, "And?", chat.Request{Generate: engine.GenerateOptions{MaxTokens: 8}}); st.Reused == 0 {
		t.Errorf("nothing reused: %+v", st)
	}
}

// TestSharedTemplate has several sessions answer at once.
func TestSharedTemplate(t *testing.T) {
	_, es := session(t, plainTemplate, 256)
	tm, err := chat.Parse(map[string]string{"": plainTemplate}, es.Model().Tokenizer())
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	for range 4 {
		go func() {
			var c chat.Collector
			es, err := es.Model().NewSession()
			if err != nil {
				said <- err.Error()
				return
			}
			defer es.Close()
			for e := range tm.NewSession(es).Answer(t.Context(), chat.Request{Messages: []chat.Message{{Role: chat.User, Content: "Hi"}},
				Generate: engine.GenerateOptions{MaxTokens: 8}}) {
				c.Add(e)
			}
			said <- c.Message.Content
		}()
	}
	first := <-said
	for range 3 {
		if other := <-said; other != first || first == "" {
			t.Errorf("one says %q, another %q", first, other)
		}
	}
}
