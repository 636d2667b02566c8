package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// An Error is what a server answers in place of a result.
type Error struct {
	Status  int    // of HTTP
	Message string // for people
	Type    string // "invalid_request_error", "server_error", …
	Param   string // the field that is wrong; "" is null
	Code    string // "context_length_exceeded", …; "" is null

	RetryAfter time.Duration // of the header; 0: nothing is said
}

func (e *Error) Error() string { return e.Message }

// Codes and types of errors.
const (
	InvalidRequest = "invalid_request_error"
	ServerError    = "server_error"
	RateLimit      = "rate_limit_error"

	CodeContextLength = "context_length_exceeded"
	CodeModelNotFound = "model_not_found"
	CodeInvalidKey    = "invalid_api_key"
	CodeUnsupported   = "unsupported_value"
)

// Invalid is the error of a request that cannot be answered as it is. param
// and code may be empty.
func Invalid(param, code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: InvalidRequest, Param: param, Code: code, Message: fmt.Sprintf(format, args...)}
}

// wireError is an Error in JSON. code is a number with some servers.
type wireError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    any     `json:"code"`
}

// MarshalJSON gives the whole body: {"error": {…}}.
func (e *Error) MarshalJSON() ([]byte, error) {
	w := wireError{Message: e.Message, Type: e.Type}
	if e.Param != "" {
		w.Param = &e.Param
	}
	if e.Code != "" {
		w.Code = e.Code
	}
	return json.Marshal(map[string]wireError{"error": w})
}

// ReadError makes an Error of the body of a response that is none of success:
// OpenAI's form, those of other servers (a flat object, a text for error), or
// whatever a proxy says.
func ReadError(status int, body []byte) *Error {
	e := &Error{Status: status}
	var outer struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &outer) == nil {
		var w wireError
		switch {
		case json.Unmarshal(outer.Error, &w) == nil && w.Message != "":
			e.Message, e.Type = w.Message, w.Type
			if w.Param != nil {
				e.Param = *w.Param
			}
			if w.Code != nil {
				e.Code = fmt.Sprint(w.Code)
			}
		case json.Unmarshal(outer.Error, &e.Message) == nil && e.Message != "":
		case outer.Message != "":
			e.Message = outer.Message
		default:
			e.Message = strings.Trim(string(outer.Detail), `"`)
		}
	}
	if e.Message == "" {
		e.Message = strings.TrimSpace(string(body[:min(len(body), 300)]))
	}
	if e.Message == "" {
		e.Message = http.StatusText(status)
	}
	return e
}

// embedded is a Go struct in a path of JSON fields, which are lower case.
var embedded = regexp.MustCompile(`\b[A-Z]\w*\.`)

// Decode reads a request. Its error is an *Error: of the JSON, or of a field
// that has another type. 1.0 is an integer, as in JSON Schema.
func Decode(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		if again := wholeNumbers(body); len(again) != len(body) {
			reflect.ValueOf(v).Elem().SetZero()
			err = json.Unmarshal(again, v)
		}
	}
	var own *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &kind):
		kind.Field = embedded.ReplaceAllString(kind.Field, "")
		return Invalid(kind.Field, "invalid_type", "Invalid type for %s: expected %s, but got %s instead.",
			quoted(kind.Field), wanted(kind.Type), found(kind.Value))
	}
	return Invalid("", "", "We could not parse the JSON body of your request: %v.", strings.TrimPrefix(err.Error(), "json: "))
}

// written is a text of JSON, or a number with zeros behind its point.
var written = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\d+\.0+\b`)

// wholeNumbers is valid JSON without those zeros.
func wholeNumbers(body []byte) []byte {
	return written.ReplaceAllFunc(body, func(b []byte) []byte {
		if b[0] == '"' {
			return b
		}
		whole, _, _ := bytes.Cut(b, []byte("."))
		return whole
	})
}

func quoted(field string) string {
	if field == "" {
		return "the body"
	}
	return "'" + field + "'"
}

// found says a JSON value as encoding/json describes it: "string", "number 1.5".
func found(value string) string {
	switch word, rest, _ := strings.Cut(value, " "); word {
	case "array", "object":
		return "an " + value
	case "bool":
		return "a boolean"
	case "number":
		if rest != "" {
			return "the number " + rest
		}
		return "a number"
	}
	return "a " + value
}

// named are types that read themselves and accept several forms.
var named = map[reflect.Type]string{
	reflect.TypeFor[Content]():    "a string or an array of content parts",
	reflect.TypeFor[Texts]():      "a string or an array of strings",
	reflect.TypeFor[Prompts]():    "a string, an array of strings, an array of tokens, or an array of token arrays",
	reflect.TypeFor[ToolChoice](): "'none', 'auto', 'required' or an object",
	reflect.TypeFor[Input]():      "a string or an array of items",
}

// wanted says a Go type in the words of JSON.
func wanted(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if words := named[t]; words != "" {
		return words
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "an integer"
}
