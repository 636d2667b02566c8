package magics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/remote"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "chat", Args: "MESSAGE", Doc: "talks with the loaded model, which keeps the conversation in mind", Line: true, Cell: true, Prose: true,
		Help: `%chat What is AI?
%chat And what is it good for?
%%chat --system 'You answer in one sentence.'     the message is the rest of the cell
%chat new                  starts over; flags may follow
%chat show                 the conversation
%chat undo                 takes the last turn back
%chat save FILE.json       as messages of OpenAI's API; %chat load FILE.json goes on with them
%chat --tools FILE.json    functions that the model may call; %%chat --tool-result ID gives a call's result
--system, --tools, --think and --no-think hold until %chat new. Another model goes on with the same conversation.
A message that looks like one of these commands goes into a cell of %%chat.`,
		Flags: chatFlags, Run: runChat,
		Complete: func(_ *Interpreter, c Completing) []string {
			switch {
			case len(c.Words) == 0:
				return []string{"new", "show", "undo", "save", "load"}
			case c.Words[0] == "load" || c.Words[0] == "save":
				return c.files(".json")
			}
			return nil
		}})
}

func chatFlags(f *pflag.FlagSet) {
	f.String("system", "", "what the model is told before the conversation; '' takes it away")
	f.String("tools", "", "a `file` of function definitions, as in OpenAI's API; '' takes them away")
	f.String("tool-result", "", "the text is the result of the call of this `id`")
	f.Bool("think", false, "have the model reason before it answers")
	f.Bool("no-think", false, "have it answer at once")
	inferFlags(f)
	f.Lookup("max-tokens").DefValue = "1024"
	_ = f.Set("max-tokens", "1024")
	f.Lookup("max-tokens").Changed = false
}

// An answerer answers conversations: a model of this process, or an endpoint.
type answerer interface {
	Answer(ctx context.Context, r chat.Request) iter.Seq2[chat.Event, error]
}

// answerer is who answers for a loaded model.
func (l *loaded) answerer(c *Call) (answerer, error) {
	if l.endpoint != nil {
		return l.endpoint.answerer(c)
	}
	if c.Flags.Changed("extra") {
		return nil, c.usage("--extra is for endpoints; %s is on this machine", l.name)
	}
	if l.chat != nil {
		return l.chat, nil
	}
	t, err := chat.NewTemplate(l.model)
	if err != nil {
		return nil, modelError("%s: %v; %%infer goes without the template", l.name, err)
	}
	if l.session == nil {
		if l.session, err = l.model.NewSession(); err != nil {
			return nil, modelError("%s: %v", l.name, err)
		}
	}
	l.chat = t.NewSession(l.session)
	return l.chat, nil
}

func runChat(ctx context.Context, c *Call) error {
	text := strings.Join(c.Args, "")
	if c.Cell {
		text = strings.Trim(strings.TrimRight(text, " ")+"\n"+c.Body, "\n")
	} else if run := c.chatCommand(text); run != nil {
		return run()
	}
	q := inference{prompt: text, o: engine.GenerateOptions{Stats: new(engine.Stats)}}
	if err := q.readFlags(c); err != nil {
		return err
	}
	v, err := c.talk.with(c)
	if err != nil {
		return err
	}
	if strings.TrimSpace(text) == "" && !c.Flags.Changed("tool-result") {
		return c.setTalk(v)
	}
	l, err := c.findChat()
	if err != nil {
		return err
	}
	waiting, err := v.add(c, text)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		c.talk = v
		fmt.Fprintf(c.Display.Stdout(), "still open: %s\n", callNames(waiting))
		return nil
	}
	return c.answer(ctx, l, v, &q)
}

func (c *Call) findChat() (*loaded, error) {
	name, _ := c.Flags.GetString("model")
	return c.models.findAny(name)
}

// setTalk changes the conversation without saying anything in it.
func (c *Call) setTalk(v conversation) error {
	for _, flag := range []string{"system", "tools", "think", "no-think"} {
		if c.Flags.Changed(flag) {
			c.talk = v
			fmt.Fprintln(c.Display.Stdout(), v.settings())
			return nil
		}
	}
	return c.usage("the message is missing")
}

// answer has l answer the conversation v, which becomes the current one if
// something comes of it.
func (c *Call) answer(ctx context.Context, l *loaded, v conversation, q *inference) error {
	who, err := l.answerer(c)
	if err != nil {
		return err
	}
	if l.endpoint == nil && l.chat.Completion() && len(v.tools) > 0 {
		return modelError("%s has no chat template, so that it cannot be told of tools; %%chat --tools '' takes them away", l.name)
	}
	if l.endpoint == nil && l.chat.Completion() && !q.json && v.completes != l.name {
		v.completes = l.name
		c.note(l.name + " has no chat template: it goes on with the text of the messages, as %infer does")
	}
	stats := &chat.Stats{}
	r := chat.Request{Messages: v.messages, Tools: v.tools, Options: chat.Options{EnableThinking: v.thinking},
		Generate: q.o, Grammar: q.grammar, LeftOut: v.left(l), Stats: stats}
	var message chat.Collector
	s := &speech{d: c.Display, off: q.json}
	for e, err2 := range who.Answer(ctx, r) {
		if err = err2; err != nil {
			break
		}
		message.Add(e)
		s.say(e)
	}
	s.end()
	m := message.Message
	said := m.Content != "" || m.Reasoning != "" || len(m.ToolCalls) > 0
	if err != nil && ctx.Err() == nil && !said {
		return chatError(l, err, v)
	}
	if !said && ctx.Err() != nil {
		return ctx.Err()
	}
	m.Role = chat.Assistant
	v.messages = append(v.messages, m)
	left := stats.LeftOut - v.left(l)
	v.leftOut, v.leftOf = stats.LeftOut, l.reach()
	c.talk = v
	if q.toVar != "" {
		c.vars.Set(q.toVar, m.Content)
	}
	q.o.Stats, q.promptTokens, q.cut = &stats.Stats, stats.Prompt, stats.Cut
	if t, ok := who.(*endpointTalk); ok {
		t.counted(q)
	}
	if err := c.reportChat(l, q, m, stats, left); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return chatError(l, err, v)
	}
	return nil
}

// reportChat shows the figures below an answer, or everything as JSON.
func (c *Call) reportChat(l *loaded, q *inference, m chat.Message, stats *chat.Stats, left int) error {
	if q.json {
		o := map[string]any{"model": l.name, "message": m, "stop_reason": stats.StopReason, "seed": q.o.Sampler.Seed,
			"prompt_tokens": q.promptTokens, "reused_tokens": stats.Reused, "new_tokens": stats.NewTokens, "left_out": stats.LeftOut,
			"tokens_per_second": stats.TokensPerSecond(), "first_token_seconds": stats.FirstToken.Seconds()}
		if q.grammar != nil && l.endpoint == nil {
			o["complete"] = !q.cut
		}
		if l.endpoint != nil {
			q.endpointJSON(c, o)
		}
		return printJSON(c, o)
	}
	if stats.Reused > 0 {
		q.notes = append(q.notes, count(stats.Reused, "token")+" reused")
	}
	lines := []string{q.summary()}
	if left > 0 {
		text := fmt.Sprintf("the context is full: the model does not see the oldest %s any more", count(left, "message"))
		if l.endpoint == nil {
			text += "; %load --ctx makes more room"
		}
		lines = append(lines, text)
	}
	switch stats.StopReason {
	case "cancelled":
		lines = append(lines, "the part that came stays in the conversation; %chat undo takes the turn back")
	case "context full":
		lines = append(lines, "the answer ended because the context is full; %load --ctx makes more room")
	}
	if len(m.ToolCalls) > 0 {
		lines = append(lines, "the model waits for "+callNames(m.ToolCalls)+": %%chat --tool-result "+m.ToolCalls[0].ID+" with the result below")
	}
	c.note(strings.Join(lines, "\n"))
	return nil
}

// note shows a line beside the conversation.
func (c *Call) note(text string) {
	c.Display.Show(jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
}

// chatError says what to do about an error of an answer.
func chatError(l *loaded, err error, v conversation) error {
	var named *jupyter.Error
	var refused *chat.RefusedError
	var full *engine.ContextError
	var far *remote.APIError
	switch {
	case errors.As(err, &named):
		return err
	case errors.As(err, &refused) && len(v.messages) > 0 && v.messages[0].Role == chat.System:
		return modelError("%s: its template refuses: %s; %%chat --system '' takes the system's message away, %%chat new starts over", l.name, refused.Message)
	case errors.As(err, &refused):
		return modelError("%s: its template refuses: %s; %%chat show tells what was said, %%chat new starts over", l.name, refused.Message)
	case errors.As(err, &full):
		return modelError("%s: the message and what has to stand before it take %d tokens, and the context holds %d; shorten it, or %%load with a larger --ctx",
			l.name, full.Position+full.New, full.Context)
	}
	if errors.As(err, &far) && far.ContextFull() {
		return modelError("%s: %v; shorten the message, ask for fewer --max-tokens, or take what has to stand before it away: %%chat new starts over", l.name, err)
	}
	return modelError("%s: %v", l.name, err)
}

func readTools(c *Call, file string) ([]chat.Tool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(catalog.InHome(file))
	if err != nil {
		return nil, c.usage("--tools: %v", err)
	}
	var one struct{ Tools []chat.Tool }
	if err = json.Unmarshal(data, &one); err == nil && one.Tools != nil {
		return one.Tools, nil
	}
	var tools []chat.Tool
	if strings.HasPrefix(strings.TrimSpace(string(data)), "{") { // a single one
		tools = make([]chat.Tool, 1)
		err = json.Unmarshal(data, &tools[0])
	} else {
		err = json.Unmarshal(data, &tools)
	}
	if err != nil {
		return nil, c.usage("--tools %s: want a JSON list of definitions, as OpenAI's API has them: %v", file, err)
	}
	return tools, nil
}
