package jinja

import (
	"fmt"
	"strings"
	"time"
)

// strftime writes a local time as C's function of this name does in the
// C locale. A "-" after "%" drops the zeros in front of a number.
func (m *machine) strftime(format string, t time.Time) string {
	var b builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 || i == len(format)-1 {
			b.add(m, format)
			return b.String()
		}
		b.add(m, format[:i])
		format = format[i+1:]
		bare := format[0] == '-' && len(format) > 1
		if bare {
			format = format[1:]
		}
		part, ok := directive(format[0], t)
		if !ok { // C passes on what it does not know
			part = "%" + map[bool]string{true: "-"}[bare] + format[:1]
		} else if bare {
			if trimmed := strings.TrimLeft(part, "0 "); trimmed != "" || part == "" {
				part = trimmed
			} else {
				part = "0"
			}
		}
		b.add(m, part)
		format = format[1:]
	}
}

// layouts are the directives that Go's time package has.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
	'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03",
	'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04",
	'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006",
	'n': "\n", 't': "\t", '%': "%", 'z': "", 'Z': "", // the time of transformers has no zone
}

func directive(c byte, t time.Time) (string, bool) {
	if layout, ok := layouts[c]; ok {
		return t.Format(layout), true
	}
	isoYear, isoWeek := t.ISOWeek()
	weekday := int(t.Weekday())
	number := func(format string, n int) (string, bool) { return fmt.Sprintf(format, n), true }
	switch c {
	case 'C':
		return number("%02d", t.Year()/100)
	case 'f':
		return number("%06d", t.Nanosecond()/1000)
	case 'g':
		return number("%02d", isoYear%100)
	case 'G':
		return number("%d", isoYear)
	case 'k':
		return number("%2d", t.Hour())
	case 'l':
		return number("%2d", (t.Hour()+11)%12+1)
	case 's':
		return number("%d", int(t.Unix()))
	case 'u':
		return number("%d", (weekday+6)%7+1)
	case 'U':
		return number("%02d", (t.YearDay()+6-weekday)/7)
	case 'V':
		return number("%02d", isoWeek)
	case 'w':
		return number("%d", weekday)
	case 'W':
		return number("%02d", (t.YearDay()+6-(weekday+6)%7)/7)
	}
	return "", false
}
