package server

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequests: whatever a body says, the answer is one, and never a fault of
// the server; errors have the form of OpenAI's.
func FuzzRequests(f *testing.F) {
	s, err := New(Options{Name: "demo", Model: model(f), Generator: says(`Yes. <tool_call>{"name":"f","arguments":{}}</tool_call>`), Parallel: 4})
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/tokenize", "/detokenize"}
	for _, body := range []string{
		`{"messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true},"n":2,"logprobs":true,"top_logprobs":3}`,
		`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}],
		 "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"$ref":"#/$defs/y"}},"$defs":{"y":{"type":"integer"}}}}}],"tool_choice":"required"}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"string","pattern":"^a+$"}}}}`,
		`{"prompt":["a","b"],"logprobs":2,"stop":["c"],"logit_bias":{"5":-100},"grammar":"root ::= [a-z]+"}`,
		`{"prompt":[1,2,3],"echo":true,"seed":-1,"temperature":0}`,
		`{"input":[{"role":"user","content":"Hi"},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"2"}],"stream":true,"text":{"format":{"type":"json_object"}}}`,
		`{"content":"<s>é","add_special":true}`, `{"tokens":[1,2,3]}`, `null`, `[[[[`, "{\"prompt\":\"\xff\"}",
	} {
		for i := range paths {
			f.Add(uint8(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, path uint8, body string) {
		r := httptest.NewRequest("POST", "http://localhost"+paths[int(path)%len(paths)], strings.NewReader(body))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%s %q: status %d: %s", r.URL.Path, body, w.Code, w.Body)
		}
		stream := strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream")
		switch {
		case stream && strings.Contains(w.Body.String(), `data: {"error"`):
			t.Fatalf("%s %q: an error in a stream: %s", r.URL.Path, body, w.Body)
		case !stream && !json.Valid(w.Body.Bytes()):
			t.Fatalf("%s %q: no JSON: %s", r.URL.Path, body, w.Body)
		}
		if st := s.Status(); st.Running != 0 || st.Waiting != 0 {
			t.Fatalf("%s %q: has left %+v", r.URL.Path, body, st)
		}
	})
}
