package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/scanedge/scanedge"
)

// answerPrinter prints a line an answer and counts those without a verdict.
type answerPrinter struct {
	out    *bufio.Writer
	json   bool
	width  int // of the widest code so far
	errors int
}

func (p *answerPrinter) print(codes []string, answers []scanedge.Answer) error {
	shown := make([]string, len(codes))
	for i, code := range codes {
		shown[i] = printable(code)
		p.width = max(p.width, runewidth.StringWidth(shown[i]))
	}
	for i, a := range answers {
		if a.Error != "" {
			p.errors++
		}
		if !p.json {
			fmt.Fprintf(p.out, "%s  %s\n", runewidth.FillRight(shown[i], p.width), describe(a))
			continue
		}
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		p.out.Write(append(line, '\n'))
	}
	return p.out.Flush()
}

// printable is the code, quoted if it would play tricks on a terminal.
func printable(code string) string {
	odd := func(r rune) bool { return !strconv.IsPrint(r) }
	if code == "" || !utf8.ValidString(code) || strings.ContainsFunc(code, odd) {
		return strconv.Quote(code)
	}
	return code
}

// describe reads like "red     reason 5  offset 17  age 240ms".
func describe(a scanedge.Answer) string {
	if a.Error == scanedge.ClockAhead {
		return fmt.Sprintf("%s  %s by %d s or more", a.Error, a.Error.Title(), a.AheadS)
	}
	if a.Error != "" {
		return strings.TrimSpace(string(a.Error) + "  " + a.Error.Title())
	}
	s := fmt.Sprintf("%-6s", a.Status)
	if !a.Until.IsZero() {
		s += "  until " + a.Until.UTC().Format("2006-01-02T15:04Z")
	}
	if a.Reason != 0 {
		s += fmt.Sprintf("  reason %d", a.Reason)
	}
	s += fmt.Sprintf("  offset %d", a.Offset)
	if a.AgeMS != nil {
		s += fmt.Sprintf("  age %s", time.Duration(*a.AgeMS)*time.Millisecond)
	}
	if a.Stale {
		s += "  stale"
	}
	if a.SeenMSAgo != nil {
		s += fmt.Sprintf("  shown before, %s ago", time.Duration(*a.SeenMSAgo)*time.Millisecond)
	}
	return s
}
