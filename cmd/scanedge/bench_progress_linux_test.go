package main

import (
	"io"
	"testing"
)

func TestTableProgressOnATerminal(t *testing.T) {
	screen, tty := terminal(t)
	p := newBenchProgress(tty, many(20_000_000, "subject"))
	p.show("growing by single puts", 0.25)
	if seen, err := readUntil(screen, []string{"20,000,000 subjects", "25 %", "growing by single puts"}); err != nil {
		t.Errorf("the terminal shows %q: %v", seen, err)
	}
	p.stop()
	var none *benchProgress
	if none = newBenchProgress(io.Discard, "subjects"); none != nil {
		t.Error("there is progress off a terminal")
	}
	none.show("x", 1)
	none.stop()
}
