package remote

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddress(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"http://host:8000/v1", "http://host:8000/v1"},
		{"http://host:8000/v1/", "http://host:8000/v1"},
		{"http://host:8000", "http://host:8000/v1"},
		{" https://Host/ ", "https://host/v1"},
		{"https://host/team/api/v2", "https://host/team/api/v2"},
		{"https://host/v1/chat/completions", "https://host/v1"},
		{"https://host/v1/completions", "https://host/v1"},
		{"https://host/v1/models/", "https://host/v1"},
		{"https://host/v1/embeddings", "https://host/v1"},
		{"http://[::1]:8000/v1", "http://[::1]:8000/v1"},
	} {
		if got, err := New(c.address, Options{}); err != nil || got.Address() != c.want {
			t.Errorf("%q: got %v, %v, want %s", c.address, got, err, c.want)
		}
	}
	for _, c := range []struct{ address, want string }{
		{"host:8000", "want http://host:8000/v1"},
		{"ftp://host/v1", "want http://host:8000/v1"},
		{"http://", "want http://host:8000/v1"},
		{"http://:8000/v1", "want http://host:8000/v1"},
		{"http://user:secret@host/v1", "would be shown"},
		{"http://ho st/v1?secret", "this is no address"},
		{"http://host/v1?key=secret", "leave out what follows ?"},
		{"http://host/v1#secret", "leave out what follows ?"},
	} {
		_, err := New(c.address, Options{})
		contains(t, err, c.want)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows what may be secret: %v", c.address, err)
		}
	}
	for _, key := range []string{"sk secret", "sk\nsecret", "“secret”"} {
		_, err := New("http://host", Options{Key: key})
		contains(t, err, "the key has a character that no key has")
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// Neither key nor prompt follow a redirect to another server.
func TestRedirect(t *testing.T) {
	other := newFake(t, streams(text("stolen", "stop"), done))
	to := func(address string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, status) }
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		f := newFake(t, to(other.URL+"/v1/completions", status))
		p := f.pool(t, Options{Key: "sk-key"})
		_, err := generate(t.Context(), p, prompt, nil)
		var redirect *RedirectError
		if !errors.As(err, &redirect) || redirect.To != other.URL+"/v1/completions" || len(f.seen()) != 1 {
			t.Errorf("%d: got %v after %d calls", status, err, len(f.seen()))
		}
		if _, err := p.Clients()[0].Models(t.Context()); !errors.As(err, &redirect) {
			t.Errorf("%d: models: got %v", status, err)
		}
	}
	if calls := other.seen(); len(calls) != 0 {
		t.Errorf("the other server was asked: %v", calls)
	}
	f := newFake(t, to("/elsewhere", 307), streams(text("a", "stop"), done))
	if got, err := generate(t.Context(), f.pool(t, Options{Key: "sk-key"}), prompt, nil); err != nil || got.Text != "a" {
		t.Errorf("on one server: got %+v, %v", got, err)
	}
	for _, c := range f.seen() {
		if c.key != "Bearer sk-key" || c.body["prompt"] != "Hi" {
			t.Errorf("on one server: sent %+v", c)
		}
	}
	loop := newFake(t, to("/loop", 307))
	if _, err := generate(t.Context(), loop.pool(t, Options{}), prompt, nil); err == nil || len(loop.seen()) > 10 {
		t.Errorf("in a circle: got %v after %d calls", err, len(loop.seen()))
	}
}

func TestModels(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []Model
	}{
		{"vLLM", `{"object":"list","data":[{"id":"org/m","object":"model","created":1,"owned_by":"vllm","root":"org/m","parent":null,"max_model_len":4096,"permission":[]}]}`,
			[]Model{{ID: "org/m", OwnedBy: "vllm", Context: 4096}}},
		{"llama-server", `{"models":[],"object":"list","data":[{"id":"m.gguf","object":"model","created":1,"owned_by":"llamacpp","meta":{"vocab_type":2,"n_vocab":128256,"n_ctx_train":131072,"n_embd":4096,"n_params":8030261312,"size":4912898304}}]}`,
			[]Model{{ID: "m.gguf", OwnedBy: "llamacpp", Context: 131072, Params: 8030261312, Size: 4912898304}}},
		{"none", `{"data":[]}`, nil},
		{"without a name", `{"data":[{"id":""},{"id":"a"}]}`, []Model{{ID: "a"}}},
	} {
		f := newFake(t, says(200, c.body))
		got, err := f.client(t, Options{Key: "k"}).Models(t.Context())
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, d)
		}
		if call := f.seen()[0]; call.path != "/v1/models" || call.key != "Bearer k" {
			t.Errorf("%s: asked %+v", c.name, call)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		noList bool
	}{
		{"no list", says(404, "404 page not found", "Content-Type", "text/plain"), "404 page not found (404)", true},
		{"no method", says(405, ""), "Method Not Allowed (405)", true},
		{"no key", says(401, `{"error":{"message":"no key"}}`), "no key (401)", false},
		{"a page", says(200, "<html>"), "the answer is not what the API has", false},
		{"something else", says(200, `{"ok":true}`), "the answer is not what the API has", false},
		{"an error with status 200", says(200, `{"error":{"message":"no","code":404}}`), "no (404)", true},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"data":`)
		}, "reading its models: unexpected EOF", false},
	} {
		_, err := newFake(t, c.answer).client(t, Options{}).Models(t.Context())
		contains(t, err, c.want)
		if NoList(err) != c.noList {
			t.Errorf("%s: NoList is %v", c.name, !c.noList)
		}
	}
	c, err := New(closedAddress(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Models(t.Context())
	contains(t, err, "connection refused")
}
