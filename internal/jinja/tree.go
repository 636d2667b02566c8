package jinja

// The tree of a template. Every expression knows where it stands (place) and
// its parts; see eval.go for what it means. Statements are run by exec.go.

// place is the byte offset of a node in the source.
type place int

func (p place) where() int { return int(p) }

type expr interface {
	where() int
	parts(visit func(expr)) // the direct parts, in order
	eval(m *machine) any
}

type (
	constant struct {
		place
		value any
	}
	// name is a variable; bind says where it lives.
	name struct {
		place
		text string
		addr address
	}
	attribute struct { // x.text
		place
		of   expr
		text string
	}
	subscript struct { // x[key]
		place
		of, key expr
	}
	slice struct { // x[start:stop:step]; absent ones are nil
		place
		of, start, stop, step expr
	}
	call struct {
		place
		callee expr
		args   arguments
	}
	filtered struct { // x | text(args); x is nil in a block
		place
		of   expr
		text string
		args arguments
	}
	tested struct { // x is text(args)
		place
		of   expr
		text string
		args arguments
	}
	unary struct { // - + not
		place
		op string
		of expr
	}
	binary struct { // + - * / // % **
		place
		op          string
		left, right expr
	}
	logical struct { // and, or
		place
		or          bool
		left, right expr
	}
	comparison struct { // first op[0] rest[0] op[1] rest[1] …
		place
		first expr
		ops   []string
		rest  []expr
	}
	concat struct { // a ~ b ~ c
		place
		items []expr
	}
	inlineIf struct { // then if test else otherwise, which may be nil
		place
		then, test, otherwise expr
	}
	sequence struct { // (a, b) or [a, b]
		place
		items []expr
		tuple bool
	}
	dict struct {
		place
		keys, values []expr
	}
	// namespaced is ns.text as the target of a set.
	namespaced struct {
		place
		ns   *name
		text string
	}
)

// arguments are those of a call: positional, by name, *list, **mapping.
type arguments struct {
	list  []expr
	names []string
	named []expr // beside names
	rest  expr
	more  expr
}

func (a *arguments) parts(visit func(expr)) {
	each(visit, a.list...)
	each(visit, a.named...)
	each(visit, a.rest, a.more)
}

func each(visit func(expr), parts ...expr) {
	for _, e := range parts {
		if e != nil {
			visit(e)
		}
	}
}

func (e *constant) parts(func(expr))         {}
func (e *name) parts(func(expr))             {}
func (e *attribute) parts(visit func(expr))  { visit(e.of) }
func (e *subscript) parts(visit func(expr))  { each(visit, e.of, e.key) }
func (e *slice) parts(visit func(expr))      { each(visit, e.of, e.start, e.stop, e.step) }
func (e *call) parts(visit func(expr))       { visit(e.callee); e.args.parts(visit) }
func (e *filtered) parts(visit func(expr))   { each(visit, e.of); e.args.parts(visit) }
func (e *tested) parts(visit func(expr))     { visit(e.of); e.args.parts(visit) }
func (e *unary) parts(visit func(expr))      { visit(e.of) }
func (e *binary) parts(visit func(expr))     { each(visit, e.left, e.right) }
func (e *logical) parts(visit func(expr))    { each(visit, e.left, e.right) }
func (e *comparison) parts(visit func(expr)) { visit(e.first); each(visit, e.rest...) }
func (e *concat) parts(visit func(expr))     { each(visit, e.items...) }
func (e *inlineIf) parts(visit func(expr))   { each(visit, e.then, e.test, e.otherwise) }
func (e *sequence) parts(visit func(expr))   { each(visit, e.items...) }
func (e *namespaced) parts(visit func(expr)) { visit(e.ns) }
func (e *dict) parts(visit func(expr))       { each(visit, e.keys...); each(visit, e.values...) }

// A statement writes to the output, sets variables, or leaves a loop.
type statement interface {
	where() int
	exec(m *machine) flow
}

type (
	text struct {
		place
		text string
	}
	output struct {
		place
		items []expr
	}
	ifBlock struct {
		place
		tests     []expr
		bodies    [][]statement // beside tests
		otherwise []statement
	}
	forBlock struct {
		place
		target, in, test expr // test may be nil
		recursive        bool
		body, otherwise  []statement
		frame            *frame // of body
		testFrame        *frame
		elseFrame        *frame
	}
	set struct {
		place
		target, value expr
	}
	setBlock struct { // {% set x | filter %} … {% endset %}
		place
		target expr
		filter expr // may be nil
		body   []statement
		frame  *frame
	}
	withBlock struct {
		place
		targets, values []expr
		body            []statement
		frame           *frame
	}
	filterBlock struct {
		place
		filter expr
		body   []statement
		frame  *frame
	}
	// macroBlock is also the body of a call block and of a generation block,
	// which have no name.
	macroBlock struct {
		place
		name     *name
		params   []*name
		defaults []expr // of the last parameters
		body     []statement
		frame    *frame
		uses     map[string]bool // which of caller, kwargs and varargs the body reads
		special  map[string]int  // the slots of those it uses and does not declare
	}
	callBlock struct { // {% call %}, or {% generation %} if call is nil
		place
		call  *call
		macro *macroBlock
	}
	leave struct { // {% break %}, {% continue %}
		place
		how flow
	}
)

// flow is how a statement ended.
type flow int

const (
	onward flow = iota
	breaks
	continues
)
