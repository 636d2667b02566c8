package expr

// A node is a piece of the syntax tree. at is the byte offset that errors
// point to.
type node interface{ at() int }

type pos int

func (p pos) at() int { return int(p) }

type (
	literal struct {
		pos
		value Value
	}
	name struct {
		pos
		id string
	}
	list struct { // [a, b] and (a, b)
		pos
		items []node
		tuple bool
	}
	unary struct {
		pos
		op string
		x  node
	}
	operation struct {
		pos  // of the operator
		op   string
		x, y node
	}
	call struct {
		pos   // of the function's name
		fn    node
		args  []node
		named []namedArg
	}
	namedArg struct {
		pos
		name string
		x    node
	}
	attr struct {
		pos // of the attribute's name
		x   node
		id  string
	}
	index struct {
		pos   // of the bracket
		x     node
		items []node // a *span or an expression for each dimension
	}
	span struct { // lo:hi:step
		pos
		lo, hi, step node // nil: open
	}
)

type stmtKind uint8

const (
	stmtExpr stmtKind = iota
	stmtAssign
	stmtPrint
	stmtDel
	stmtList
)

// A stmt is one statement.
type stmt struct {
	pos
	kind  stmtKind
	name  string // Assign
	names []name // Del
	x     node   // Expr, Assign
	xs    []node // Print
}
