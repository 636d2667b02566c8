package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestRefusals: what each wrong request is told, and about which field.
func TestRefusals(t *testing.T) {
	hi := `"messages":[{"role":"user","content":"hi"}]`
	for _, c := range []struct{ name, body, param, says string }{
		{"no JSON", `{"model"`, "", "could not parse the JSON body"},
		{"two values", `{} {}`, "", "could not parse the JSON body"},
		{"a list", `[]`, "", "Invalid type for the body: expected an object, but got an array"},
		{"nothing", `{}`, "messages", "Missing required parameter: 'messages'"},
		{"null messages", `{"messages":null}`, "messages", "Missing required parameter"},
		{"text for messages", `{"messages":"hi"}`, "messages", "expected an array, but got a string"},
		{"no role", `{"messages":[{"content":"hi"}]}`, "messages[0].role", "Missing required"},
		{"another role", `{"messages":[{"role":"owl","content":"hi"}]}`, "messages[0].role", "Invalid value: 'owl'. Supported values are: 'system', 'developer', 'user', 'assistant' and 'tool'."},
		{"no content", `{"messages":[{"role":"user"}]}`, "messages[0].content", "Missing required"},
		{"number for content", `{"messages":[{"role":"user","content":5}]}`, "messages.content", "expected a string or an array of content parts, but got a number"},
		{"picture", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, "messages[0].content[0].type", "reads text only"},
		{"result of no call", `{"messages":[{"role":"tool","content":"5"}]}`, "messages[0].tool_call_id", "Missing required"},
		{"hot", `{` + hi + `,"temperature":3}`, "temperature", "Expected a value <= 2, but got 3"},
		{"cold", `{` + hi + `,"temperature":-1}`, "temperature", "Expected a value >= 0, but got -1"},
		{"text for temperature", `{` + hi + `,"temperature":"warm"}`, "temperature", "expected a number, but got a string"},
		{"number out of range", `{` + hi + `,"temperature":1e999}`, "temperature", "expected a number"},
		{"top_p", `{` + hi + `,"top_p":1.5}`, "top_p", "<= 1"},
		{"penalty", `{` + hi + `,"presence_penalty":-3}`, "presence_penalty", ">= -2"},
		{"no tokens", `{` + hi + `,"max_tokens":0}`, "max_tokens", "Expected a value >= 1, but got 0"},
		{"part of a token", `{` + hi + `,"max_tokens":1.5}`, "max_tokens", "expected an integer, but got the number 1.5"},
		{"no choices", `{` + hi + `,"n":0}`, "n", ">= 1"},
		{"many choices", `{` + hi + `,"n":1000000000}`, "n", "<= 128"},
		{"null for a stop", `{` + hi + `,"stop":["a",null]}`, "stop", "expected a string, but got a null"},
		{"many stops", `{` + hi + `,"stop":[` + strings.Repeat(`"a",`, 100) + `"b"]}`, "stop", "maximum length 64, but got an array with length 101"},
		{"object for stop", `{` + hi + `,"stop":{}}`, "stop", "expected a string or an array of strings, but got an object"},
		{"word for a token", `{` + hi + `,"logit_bias":{"hello":1}}`, "logit_bias", `"hello" is no token id`},
		{"null for a bias", `{` + hi + `,"logit_bias":{"5":null}}`, "logit_bias", "expected a number, but got a null"},
		{"null for a modality", `{` + hi + `,"modalities":[null]}`, "modalities", "expected a string, but got a null"},
		{"heavy bias", `{` + hi + `,"logit_bias":{"5":101}}`, "logit_bias", "<= 100"},
		{"top without logprobs", `{` + hi + `,"top_logprobs":3}`, "top_logprobs", "only allowed when 'logprobs'"},
		{"many top logprobs", `{` + hi + `,"logprobs":true,"top_logprobs":21}`, "top_logprobs", "<= 20"},
		{"usage of no stream", `{` + hi + `,"stream_options":{"include_usage":true}}`, "stream_options", "only allowed when 'stream'"},
		{"tool of another kind", `{` + hi + `,"tools":[{"type":"web"}]}`, "tools[0].type", "'function'"},
		{"tool without a name", `{` + hi + `,"tools":[{"type":"function"}]}`, "tools[0].function.name", "Missing required"},
		{"name of two words", `{` + hi + `,"tools":[{"type":"function","function":{"name":"a b"}}]}`, "tools[0].function.name", "want 1 to 128 letters"},
		{"tool twice", `{` + hi + `,"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]}`, "tools[1].function.name", "Two tools"},
		{"schema that is none", `{` + hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`, "tools[0].function.parameters", "expected an object, but got an array"},
		{"choice of no tool", `{` + hi + `,"tool_choice":"required"}`, "tool_choice", "only allowed when 'tools'"},
		{"choice of another tool", `{` + hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}}}`, "tool_choice", `"g" is not among`},
		{"choice of no type", `{` + hi + `,"tool_choice":{"name":"f"}}`, "tool_choice.type", "Missing required"},
		{"number for a choice", `{` + hi + `,"tool_choice":1}`, "tool_choice", "expected 'none', 'auto', 'required' or an object, but got a number"},
		{"format", `{` + hi + `,"response_format":{"type":"xml"}}`, "response_format.type", "'text', 'json_object' and 'json_schema'"},
		{"schema of anything", `{` + hi + `,"response_format":{"type":"json_schema","json_schema":{"schema":true}}}`, "response_format.json_schema.schema", "expected an object, but got a boolean"},
		{"no schema", `{` + hi + `,"response_format":{"type":"json_schema"}}`, "response_format.json_schema.schema", "Missing required"},
		{"functions", `{` + hi + `,"functions":[]}`, "functions", "use 'tools'"},
		{"speech", `{` + hi + `,"modalities":["audio"]}`, "modalities", "text only"},
		{"deep", strings.Repeat(`[`, 100000), "", "could not parse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r ChatRequest
			err := Decode([]byte(c.body), &r)
			if err == nil {
				err = r.Check()
			}
			wantRefusal(t, err, c.param, c.says)
		})
	}
}

func wantRefusal(t *testing.T, err error, param, says string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if e.Status != 400 || e.Type != InvalidRequest || e.Param != param || !strings.Contains(e.Message, says) {
		t.Errorf("got %+v, want param %q and a message with %q", *e, param, says)
	}
}

// TestWholeNumbers: an integer may be written with a point.
func TestWholeNumbers(t *testing.T) {
	var r CompletionRequest
	if err := Decode([]byte(`{"prompt":[5.0,7],"max_tokens":3.00,"temperature":1.0,"stop":"1.0 \\\" 2.0","n":1}`), &r); err != nil {
		t.Fatal(err)
	}
	if got := r.Prompt.Tokens[0]; len(got) != 2 || got[0] != 5 || *r.MaxTokens != 3 || *r.Temperature != 1 || r.Stop[0] != `1.0 \" 2.0` {
		t.Errorf("got %+v", r)
	}
}

// TestResponseRefusals: the same of the responses API.
func TestResponseRefusals(t *testing.T) {
	for _, c := range []struct{ name, body, param, says string }{
		{"nothing", `{}`, "input", "Missing required"},
		{"memory", `{"input":"a","previous_response_id":"r"}`, "previous_response_id", "not stored"},
		{"conversation", `{"input":"a","conversation":"c"}`, "conversation", "not stored"},
		{"background", `{"input":"a","background":true}`, "background", "not stored"},
		{"another tool", `{"input":"a","tools":[{"type":"web_search"}]}`, "tools[0].type", "'web_search'"},
		{"another item", `{"input":[{"type":"computer_call"}]}`, "input[0].type", "'computer_call'"},
		{"picture", `{"input":[{"role":"user","content":[{"type":"input_image"}]}]}`, "input[0].content[0].type", "reads text only"},
		{"no role", `{"input":[{"content":"a"}]}`, "input[0].role", "Missing required"},
		{"call without an id", `{"input":[{"type":"function_call","name":"f","arguments":"{}"}]}`, "input[0].call_id", "Missing required"},
		{"output of a picture", `{"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image"}]}]}`, "input[0].output[0].type", "reads text only"},
		{"no output", `{"input":[{"type":"function_call_output","call_id":"c"}]}`, "input[0].output", "Missing required"},
		{"no tokens", `{"input":"a","max_output_tokens":0}`, "max_output_tokens", ">= 1"},
		{"number", `{"input":7}`, "input", "expected a string or an array of items, but got a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r ResponseRequest
			err := Decode([]byte(c.body), &r)
			if err == nil {
				_, err = r.Chat()
			}
			wantRefusal(t, err, c.param, c.says)
		})
	}
}

// TestForms reads what may be written in several ways.
func TestForms(t *testing.T) {
	var r ChatRequest
	body := `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
		{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"1","content":"5"}],
		"stop":"x","temperature":null,"max_tokens":-1,"n":null,"unknown":{"a":[1]},"tool_choice":"none","logit_bias":{"5":-100}}`
	if err := Decode([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	if got := r.Messages[0].Text(); got != "ab" {
		t.Errorf("got text %q, want ab", got)
	}
	if len(r.Stop) != 1 || r.Stop[0] != "x" || r.Temperature != nil || r.Limit() != 0 || r.ToolChoice.Mode != "none" {
		t.Errorf("got %+v", r)
	}
	if b, _ := r.Bias(); b[5] != -100 {
		t.Errorf("got bias %v", b)
	}
	for _, c := range []struct {
		json   string
		texts  int
		tokens int
	}{{`"a"`, 1, 0}, {`["a","b"]`, 2, 0}, {`[1,2,3]`, 0, 1}, {`[[1],[2,3]]`, 0, 2}, {`null`, 0, 0}, {`[]`, 0, 0}} {
		var p Prompts
		if err := json.Unmarshal([]byte(c.json), &p); err != nil || len(p.Texts) != c.texts || len(p.Tokens) != c.tokens {
			t.Errorf("%s: got %+v, %v", c.json, p, err)
		}
	}
	for _, bad := range []string{`5`, `{}`, `[1,"a"]`, `["a",1]`, `[[1],2]`, `[1.5]`, `[99999999999]`} {
		var q CompletionRequest
		wantRefusal(t, Decode([]byte(`{"prompt":`+bad+`}`), &q), "prompt", "expected a string, an array of strings")
	}
}

// TestErrorForms reads the errors of several servers.
func TestErrorForms(t *testing.T) {
	for _, c := range []struct{ server, body, message, code string }{
		{"openai", `{"error":{"message":"m","type":"t","param":"p","code":"c"}}`, "m", "c"},
		{"llama-server", `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`, "Loading model", "503"},
		{"vllm", `{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}`, "m", ""},
		{"ollama", `{"error":"model not found"}`, "model not found", ""},
		{"fastapi", `{"detail":"Not Found"}`, "Not Found", ""},
		{"proxy", "<html>502</html>", "<html>502</html>", ""},
		{"nothing", "", "Bad Gateway", ""},
	} {
		if e := ReadError(502, []byte(c.body)); e.Message != c.message || e.Code != c.code || e.Status != 502 {
			t.Errorf("%s: got %+v", c.server, *e)
		}
	}
	b, _ := json.Marshal(Invalid("n", "", "no"))
	if got, want := string(b), `{"error":{"message":"no","type":"invalid_request_error","param":"n","code":null}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"hi"}],"stop":["a"],"tool_choice":{"type":"function","function":{"name":"f"}}}`))
	f.Add([]byte(`{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}],"prompt":[[1,2]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var own *Error
		var c ChatRequest
		if err := Decode(b, &c); err != nil && !errors.As(err, &own) {
			t.Errorf("chat: %v is no *Error", err)
		} else if err == nil {
			if err := c.Check(); err != nil && !errors.As(err, &own) {
				t.Errorf("chat: %v is no *Error", err)
			}
		}
		var r ResponseRequest
		if Decode(b, &r) == nil {
			if _, err := r.Chat(); err != nil && !errors.As(err, &own) {
				t.Errorf("response: %v is no *Error", err)
			}
		}
	})
}
