// Package client is OpenAI's client for Go, unchanged, against a server of
// llcuda that has a model for chats and makes embeddings:
//
//	OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none go test
package client

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

// server is a client, which reads where the server is from the environment,
// and the name of the server's model.
func server(t *testing.T) (openai.Client, string) {
	t.Helper()
	if os.Getenv("OPENAI_BASE_URL") == "" {
		t.Skip("no OPENAI_BASE_URL; make client-go starts a server")
	}
	c := openai.NewClient(option.WithMaxRetries(0))
	page, err := c.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Data) != 1 {
		t.Fatalf("models: %+v", page.Data)
	}
	return c, page.Data[0].ID
}

// question is a greedy chat of one message.
func question(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:               model,
		Messages:            []openai.ChatCompletionMessageParamUnion{openai.UserMessage("How is the weather in Paris?")},
		Temperature:         openai.Float(0),
		MaxCompletionTokens: openai.Int(60),
	}
}

func ask(t *testing.T, c openai.Client, p openai.ChatCompletionNewParams) *openai.ChatCompletion {
	t.Helper()
	got, err := c.Chat.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// streamed is the same from a stream.
func streamed(t *testing.T, c openai.Client, p openai.ChatCompletionNewParams) *openai.ChatCompletionAccumulator {
	t.Helper()
	p.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := c.Chat.Completions.NewStreaming(t.Context(), p)
	defer stream.Close()
	acc := &openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatalf("chunk %s does not fit", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	return acc
}

func TestModels(t *testing.T) {
	c, model := server(t)
	got, err := c.Models.Get(t.Context(), model)
	if err != nil || got.ID != model || got.OwnedBy != "llcuda" {
		t.Errorf("model %+v, %v", got, err)
	}
}

func TestChat(t *testing.T) {
	c, model := server(t)
	whole := ask(t, c, question(model))
	choice := whole.Choices[0]
	if choice.Message.Content == "" || choice.Message.Role != "assistant" || whole.Usage.CompletionTokens < 1 || whole.Usage.CompletionTokens > 60 ||
		whole.Usage.TotalTokens != whole.Usage.PromptTokens+whole.Usage.CompletionTokens {
		t.Errorf("%s", whole.RawJSON())
	}
	again := streamed(t, c, question(model))
	if got := again.Choices[0]; got.Message.Content != choice.Message.Content || got.FinishReason != choice.FinishReason {
		t.Errorf("streamed %q, %s; want %q, %s", got.Message.Content, got.FinishReason, choice.Message.Content, choice.FinishReason)
	}
	if again.Usage.CompletionTokens != whole.Usage.CompletionTokens || again.ID == "" {
		t.Errorf("usage %+v, want %+v", again.Usage, whole.Usage)
	}
	p := question(model)
	p.Messages = append([]openai.ChatCompletionMessageParamUnion{openai.SystemMessage("You are terse."), openai.DeveloperMessage("Be kind.")}, p.Messages...)
	p.Messages = append(p.Messages, openai.AssistantMessage("Fine."), openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.TextContentPart("And in Rome?")}))
	if ask(t, c, p).Choices[0].Message.Content == "" {
		t.Error("a conversation has no answer")
	}
}

func TestLogprobs(t *testing.T) {
	c, model := server(t)
	p := question(model)
	p.Logprobs, p.TopLogprobs = openai.Bool(true), openai.Int(3)
	choice := ask(t, c, p).Choices[0]
	text := ""
	for _, token := range choice.Logprobs.Content {
		text += token.Token
		sum := 0.0
		for _, top := range token.TopLogprobs {
			sum += math.Exp(top.Logprob)
		}
		if len(token.TopLogprobs) != 3 || token.Logprob != token.TopLogprobs[0].Logprob || sum > 1+1e-5 {
			t.Errorf("token %s", token.RawJSON())
		}
	}
	if strings.TrimSpace(text) != strings.TrimSpace(choice.Message.Content) {
		t.Errorf("tokens %q, content %q", text, choice.Message.Content)
	}
	if got := streamed(t, c, p).Choices[0].Logprobs.Content; len(got) != len(choice.Logprobs.Content) {
		t.Errorf("%d logprobs streamed, want %d", len(got), len(choice.Logprobs.Content))
	}
}

func TestChoices(t *testing.T) {
	c, model := server(t)
	p := question(model)
	p.N, p.Temperature, p.Seed, p.MaxCompletionTokens = openai.Int(3), openai.Float(1), openai.Int(7), openai.Int(16)
	texts := func(g []openai.ChatCompletionChoice) (all []string) {
		for i, choice := range g {
			if choice.Index != int64(i) {
				t.Errorf("choice %d has index %d", i, choice.Index)
			}
			all = append(all, choice.Message.Content)
		}
		return all
	}
	whole := texts(ask(t, c, p).Choices)
	if len(whole) != 3 || whole[0] == whole[1] && whole[1] == whole[2] {
		t.Errorf("choices %q", whole)
	}
	if got := texts(streamed(t, c, p).Choices); !slices.Equal(got, whole) {
		t.Errorf("the same seed streamed: %q, want %q", got, whole)
	}
}

func TestStop(t *testing.T) {
	c, model := server(t)
	p := question(model)
	text := ask(t, c, p).Choices[0].Message.Content
	stop := text[len(text)/2:][:4]
	for _, union := range []openai.ChatCompletionNewParamsStopUnion{{OfString: openai.String(stop)}, {OfStringArray: []string{"\x01", stop}}} {
		p.Stop = union
		want, _, _ := strings.Cut(text, stop)
		if got := ask(t, c, p).Choices[0]; got.Message.Content != want || got.FinishReason != "stop" {
			t.Errorf("stop %q: %q, %s; want %q", stop, got.Message.Content, got.FinishReason, want)
		}
	}
}

// weather is a tool whose arguments have two right values.
var weather = openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
	Name:        "weather",
	Description: openai.String("The weather of a city"),
	Strict:      openai.Bool(true),
	Parameters:  city,
})

var city = shared.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"enum": []string{"Paris", "Rome"}}},
	"required": []string{"city"}, "additionalProperties": false}

// wantCity checks the arguments of a call.
func wantCity(t *testing.T, arguments string) {
	t.Helper()
	var args struct{ City string }
	if err := json.Unmarshal([]byte(arguments), &args); err != nil || args.City != "Paris" && args.City != "Rome" {
		t.Errorf("arguments %q: %v", arguments, err)
	}
}

func TestTools(t *testing.T) {
	c, model := server(t)
	p := question(model)
	p.Tools = []openai.ChatCompletionToolUnionParam{weather}
	for _, choice := range []openai.ChatCompletionToolChoiceOptionUnionParam{
		{OfAuto: openai.String("required")},
		openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "weather"}),
	} {
		p.ToolChoice = choice
		whole := ask(t, c, p).Choices[0]
		for _, got := range []openai.ChatCompletionChoice{whole, streamed(t, c, p).Choices[0]} {
			if len(got.Message.ToolCalls) != 1 || got.FinishReason != "tool_calls" {
				t.Fatalf("calls %+v, %s", got.Message.ToolCalls, got.FinishReason)
			}
			call := got.Message.ToolCalls[0]
			if call.ID == "" || call.Type != "function" || call.Function.Name != "weather" {
				t.Errorf("call %+v", call)
			}
			wantCity(t, call.Function.Arguments)
		}
		// The result goes back, and the model goes on.
		next := p
		next.Messages = append(slices.Clone(p.Messages), whole.Message.ToParam(), openai.ToolMessage("12 degrees", whole.Message.ToolCalls[0].ID))
		next.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("none")}
		if got := ask(t, c, next).Choices[0]; got.Message.Content == "" || len(got.Message.ToolCalls) > 0 {
			t.Errorf("after the result: %s", got.Message.RawJSON())
		}
	}
	p.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{} // free to call or not
	if got := ask(t, c, p).Choices[0]; got.Message.Content == "" && len(got.Message.ToolCalls) == 0 {
		t.Errorf("neither text nor call: %s", got.Message.RawJSON())
	}
}

func TestJSONSchema(t *testing.T) {
	c, model := server(t)
	schema := map[string]any{"type": "object", "properties": map[string]any{"good": map[string]any{"type": "boolean"}, "degrees": map[string]any{"type": "integer"}},
		"required": []string{"good", "degrees"}, "additionalProperties": false}
	p := question(model)
	p.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "report", Strict: openai.Bool(true), Schema: schema}}}
	whole := ask(t, c, p).Choices[0].Message.Content
	var report struct {
		Good    *bool
		Degrees *int
	}
	if err := json.Unmarshal([]byte(whole), &report); err != nil || report.Good == nil || report.Degrees == nil {
		t.Errorf("%q: %v", whole, err)
	}
	if got := streamed(t, c, p).Choices[0].Message.Content; got != whole {
		t.Errorf("streamed %q, want %q", got, whole)
	}
	p.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONObject: &shared.ResponseFormatJSONObjectParam{}}
	p.MaxCompletionTokens = openai.Int(200)
	if got := ask(t, c, p).Choices[0]; got.FinishReason == "stop" && !json.Valid([]byte(got.Message.Content)) || got.Message.Content[0] != '{' {
		t.Errorf("json_object: %q", got.Message.Content)
	}
}

func TestCompletions(t *testing.T) {
	c, model := server(t)
	p := openai.CompletionNewParams{Model: openai.CompletionNewParamsModel(model), Prompt: openai.CompletionNewParamsPromptUnion{OfArrayOfStrings: []string{"Once upon a time", "The dog"}},
		MaxTokens: openai.Int(12), Temperature: openai.Float(0), Logprobs: openai.Int(2)}
	whole, err := c.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Choices) != 2 || len(whole.Choices[0].Logprobs.Tokens) != 12 || whole.Usage.CompletionTokens != 24 {
		t.Errorf("%s", whole.RawJSON())
	}
	texts := make([]string, 2)
	stream := c.Completions.NewStreaming(t.Context(), p)
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			texts[choice.Index] += choice.Text
		}
	}
	if err := stream.Err(); err != nil || texts[0] != whole.Choices[0].Text || texts[1] != whole.Choices[1].Text {
		t.Errorf("streamed %q (%v), want %q and %q", texts, err, whole.Choices[0].Text, whole.Choices[1].Text)
	}
}

func TestEmbeddings(t *testing.T) {
	c, model := server(t)
	p := openai.EmbeddingNewParams{Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a dog", "a dog", "the sum of two numbers"}}}
	got, err := c.Embeddings.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	cosine := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	v := got.Data
	if len(v) != 3 || math.Abs(cosine(v[0].Embedding, v[1].Embedding)-1) > 1e-3 || cosine(v[0].Embedding, v[2].Embedding) > .9999 || got.Usage.PromptTokens == 0 {
		t.Errorf("%d vectors, usage %+v", len(v), got.Usage)
	}
	p.Dimensions = openai.Int(8)
	if got, err = c.Embeddings.New(t.Context(), p); err != nil || len(got.Data[0].Embedding) != 8 {
		t.Errorf("8 dimensions: %v", err)
	}
}

func TestResponses(t *testing.T) {
	c, model := server(t)
	p := responses.ResponseNewParams{Model: model, Instructions: openai.String("You are terse."), Temperature: openai.Float(0), MaxOutputTokens: openai.Int(30),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hi.")}}
	whole, err := c.Responses.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if whole.OutputText() == "" || whole.Usage.OutputTokens == 0 {
		t.Errorf("%s", whole.RawJSON())
	}
	text, last := "", ""
	stream := c.Responses.NewStreaming(t.Context(), p)
	for stream.Next() {
		e := stream.Current()
		if last = e.Type; e.Type == "response.output_text.delta" {
			text += e.Delta
		}
	}
	if err := stream.Err(); err != nil || text != whole.OutputText() || last != "response.completed" && last != "response.incomplete" {
		t.Errorf("streamed %q, %s (%v); want %q", text, last, err, whole.OutputText())
	}
	p.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
		responses.ResponseInputItemParamOfMessage("How is the weather in Paris?", responses.EasyInputMessageRoleUser)}}
	p.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "weather", Parameters: city, Strict: openai.Bool(true)}}}
	p.ToolChoice = responses.ResponseNewParamsToolChoiceUnion{OfToolChoiceMode: openai.Opt(responses.ToolChoiceOptionsRequired)}
	whole, err = c.Responses.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	call := whole.Output[len(whole.Output)-1]
	if call.Type != "function_call" || call.Name != "weather" || call.CallID == "" {
		t.Fatalf("%s", whole.RawJSON())
	}
	wantCity(t, call.Arguments.OfString)
}

// TestErrors: each is an *openai.Error that names what is wrong.
func TestErrors(t *testing.T) {
	c, model := server(t)
	for _, want := range []struct {
		name              string
		status            int
		param, code, kind string
		change            func(p *openai.ChatCompletionNewParams)
	}{
		{"model", 404, "model", "model_not_found", "invalid_request_error", func(p *openai.ChatCompletionNewParams) { p.Model = "nope" }},
		{"no messages", 400, "messages", "missing_required_parameter", "invalid_request_error", func(p *openai.ChatCompletionNewParams) { p.Messages = nil }},
		{"hot", 400, "temperature", "decimal_above_max_value", "invalid_request_error", func(p *openai.ChatCompletionNewParams) { p.Temperature = openai.Float(9) }},
		{"long", 400, "messages", "context_length_exceeded", "invalid_request_error", func(p *openai.ChatCompletionNewParams) {
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat("a dog and a cat ", 20000))}
		}},
	} {
		p := question(model)
		want.change(&p)
		_, err := c.Chat.Completions.New(t.Context(), p)
		var got *openai.Error
		if !errors.As(err, &got) || got.StatusCode != want.status || got.Param != want.param || got.Code != want.code || got.Type != want.kind || got.Message == "" {
			t.Errorf("%s: %v", want.name, err)
		}
		stream := c.Chat.Completions.NewStreaming(t.Context(), p)
		for stream.Next() {
			t.Errorf("%s: chunk %s", want.name, stream.Current().RawJSON())
		}
		if err := stream.Err(); !errors.As(err, &got) || got.StatusCode != want.status {
			t.Errorf("%s, streamed: %v", want.name, err)
		}
	}
	wrong := openai.NewClient(option.WithMaxRetries(0), option.WithAPIKey("wrong"))
	var got *openai.Error
	if _, err := wrong.Models.List(t.Context()); !errors.As(err, &got) || got.StatusCode != http.StatusUnauthorized || got.Code != "invalid_api_key" {
		t.Errorf("a wrong key: %v", err)
	}
}

// TestCancel: a stream that is left ends with the context's error, and the
// server goes on.
func TestCancel(t *testing.T) {
	c, model := server(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := question(model)
	p.MaxCompletionTokens = openai.Int(800)
	stream := c.Chat.Completions.NewStreaming(ctx, p, option.WithJSONSet("ignore_eos", true))
	for i := 0; stream.Next() && i < 3; i++ {
	}
	cancel()
	for stream.Next() {
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if ask(t, c, question(model)).Choices[0].Message.Content == "" {
		t.Error("no answer afterwards")
	}
}

// TestMany: what several ask at once is answered as if each had asked alone.
func TestMany(t *testing.T) {
	c, model := server(t)
	p := question(model)
	p.MaxCompletionTokens = openai.Int(16)
	want := ask(t, c, p).Choices[0].Message.Content
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := c.Chat.Completions.New(t.Context(), p)
			if err != nil || got.Choices[0].Message.Content != want {
				t.Errorf("answer %+v (%v), want %q", got, err, want)
			}
		})
	}
	wg.Wait()
}
