// Package jupyter is a Jupyter kernel without a language: it speaks protocol
// 5.4 (https://jupyter-client.readthedocs.io/en/stable/messaging.html) over
// ZeroMQ and drives an [Interpreter]. [Serve] runs one kernel until it is told
// to leave; a [Display] carries a cell's output to the front end, or into a
// [Notebook] that is executed without Jupyter.
package jupyter

import "context"

// An Interpreter executes cells. Calls come one at a time, except Complete,
// Inspect and IsComplete, which may come while Execute runs. A panic in any of
// them becomes an error of that request; the kernel lives on.
//
// An Interpreter that also has the method CommTargets takes part in comms, see
// [CommTarget].
type Interpreter interface {
	// Info is asked once, before anything else.
	Info() Info
	// Execute runs a cell and returns when its output was handed to d. ctx is
	// cancelled by an interrupt. An error becomes the one error message of the
	// cell; an *Error says how it looks.
	Execute(ctx context.Context, c Cell, d *Display) error
	// Eval evaluates one of the user_expressions of an execute request.
	Eval(ctx context.Context, expr string) (Bundle, error)
	// Complete proposes texts for the place before cursor, counted in runes.
	Complete(ctx context.Context, code string, cursor int) Completion
	// Inspect describes what is at cursor, counted in runes; detail is 0 or 1
	// (`name?` and `name??`). Nil: nothing is known.
	Inspect(ctx context.Context, code string, cursor, detail int) Bundle
	// IsComplete says whether Enter should run the code or start a new line.
	IsComplete(code string) Completeness
}

// Info holds the static facts of kernel_info_reply.
type Info struct {
	Implementation, Version, Banner string
	Language                        Language
	HelpLinks                       []HelpLink
}

// Language describes what cells are written in. It is also the language_info
// of notebooks. Empty fields are left out.
type Language struct {
	Name, Version, MIMEType, FileExtension, PygmentsLexer, CodeMirrorMode string
}

// A HelpLink is an entry of the front end's Help menu.
type HelpLink struct{ Text, URL string }

// A Cell is the code to execute and how.
type Cell struct {
	Code         string
	Count        int  // the number in In[…]
	Silent       bool // no output is wanted
	StoreHistory bool
	AllowStdin   bool // Display.Input may ask
}

// A Bundle is one thing in several representations, MIME type → data. Text
// types hold strings; a []byte (an image) is sent in base64; JSON types hold
// whatever encoding/json takes. "text/plain" should always be there.
type Bundle map[string]any

// A Completion replaces runes Start to End of the code by one of Matches.
type Completion struct {
	Matches    []string
	Start, End int
	Types      []string // optional, one for each match: "magic", "function", …
}

// Completeness is the answer to is_complete_request. Indent is the text the
// next line starts with, for Incomplete alone.
type Completeness struct{ Status, Indent string }

// The values of Completeness.Status.
const (
	Complete   = "complete"
	Incomplete = "incomplete"
	Invalid    = "invalid"
	Unknown    = "unknown"
)

// An Error is what the front end shows of a failed cell. Traceback holds the
// lines as shown, which may be coloured by ANSI escapes; when it is empty,
// "Name: Value" is shown.
type Error struct {
	Name, Value string
	Traceback   []string
}

func (e *Error) Error() string {
	if e.Name == "" || e.Value == "" {
		return e.Name + e.Value
	}
	return e.Name + ": " + e.Value
}
