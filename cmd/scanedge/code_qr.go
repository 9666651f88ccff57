package main

import (
	"fmt"
	"os"
	"strings"

	"rsc.io/qr"
	"rsc.io/qr/coding"
)

// picture is a code as a QR.
type picture struct{ *qr.Code }

// The white that a reader needs around a QR, in modules: four by the standard. A terminal has no room for it, and around what is
// drawn here is mostly one colour anyway.
const (
	quiet         = 4
	terminalQuiet = 2
)

// ink is black on white, whatever the colours of the terminal are.
const ink shade = "\x1b[38;5;16;48;5;231m"

// pictureOf draws a code at level M: readable with 15 % of it dirty. Alphanumeric mode is chosen for what is made of its characters.
func pictureOf(code string) (picture, error) {
	c, err := qr.Encode(code, qr.M)
	if err != nil {
		return picture{}, fmt.Errorf("draw the code: %w", err)
	}
	return picture{c}, nil
}

// describe is like "version 4, level M, alphanumeric".
func (p picture) describe(code string) string {
	mode := "bytes"
	if coding.Num(code).Check() == nil {
		mode = "numeric"
	} else if coding.Alpha(code).Check() == nil {
		mode = "alphanumeric"
	}
	return fmt.Sprintf("version %d, level M, %s", p.version(), mode)
}

func (p picture) version() int { return (p.Size - 17) / 4 }

// lines draws the QR for a terminal: two rows of modules a line.
func (p picture) lines() (lines []line) {
	for y := -terminalQuiet; y < p.Size+terminalQuiet; y += 2 {
		var b strings.Builder
		for x := -terminalQuiet; x < p.Size+terminalQuiet; x++ {
			switch up, down := p.Black(x, y), p.Black(x, y+1); {
			case up && down:
				b.WriteString("█")
			case up:
				b.WriteString("▀")
			case down:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		lines = append(lines, line{b.String(), ink})
	}
	return lines
}

// columns is how wide the lines are.
func (p picture) columns() int { return p.Size + 2*terminalQuiet }

// svg draws each row's runs of black as one path.
func (p picture) svg() []byte {
	side := p.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+"\n", side, side)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dH0z"/>`+"\n"+`<path d="`, side, side)
	for y := range p.Size {
		for x := 0; x < p.Size; x++ {
			from := x
			for p.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	b.WriteString(`"/>` + "\n</svg>\n")
	return []byte(b.String())
}

// save writes a picture that others of the machine may not read: who has it has the code.
func save(path string, b []byte) error {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("write the QR: %w", err)
	}
	return nil
}
