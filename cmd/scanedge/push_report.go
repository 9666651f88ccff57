package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/scanedge/scanedge"
)

// report says what the run pushed; the time, and with it the rate, is this process's.
func (p *pusher) report(w io.Writer, asJSON bool) error {
	took := time.Since(p.started)
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Issuer      string  `json:"issuer"`
			Count       int     `json:"count"`
			Pushes      int     `json:"pushes"`
			Offset      uint64  `json:"offset"`
			Seconds     float64 `json:"seconds"`
			Resumed     bool    `json:"resumed,omitempty"`
			ResumedLine int     `json:"resumed_line,omitempty"`
		}{p.Issuer, p.Count, p.Pushes, p.Offset, took.Round(time.Millisecond).Seconds(), p.resumedLine > 0, p.resumedLine})
	}
	if p.Pushes == 0 {
		_, err := fmt.Fprintf(w, "nothing to push: %s holds no deltas\n", p.in.name)
		return err
	}
	rate := float64(p.Count-p.before) / took.Seconds()
	_, err := fmt.Fprintf(w, "pushed %s to %s in %s, offset %d, %.1f s (%s deltas/s)\n", many(p.Count, "delta"), p.Issuer,
		many(p.Pushes, "push"), p.Offset, took.Seconds(), grouped(int(rate)))
	return err
}

// mayBeApplied tells whether what ended with err may have been applied all the same.
func mayBeApplied(err error) bool {
	problem, network := (*scanedge.Problem)(nil), (*net.OpError)(nil)
	if errors.As(err, &problem) {
		return problem.Type == scanedge.LogUnavailable
	}
	return !errors.As(err, &network) || network.Op != "dial"
}

// failed adds to err, which ended the push, what of the file is pushed and how to go on; at is the piece that was under way, if
// one was.
func (p *pusher) failed(at *piece, err error) error {
	problem := (*scanedge.Problem)(nil)
	if errors.As(err, &problem) && problem.Type == scanedge.BadLines {
		err = p.wrong(at, problem)
	}
	says := []string{p.pushed(at)}
	if advice := p.advice(problem); advice != "" {
		says = append(says, advice)
	}
	return fmt.Errorf("%w\n%s", err, strings.Join(says, " "))
}

// pushed says what of the file is.
func (p *pusher) pushed(at *piece) string {
	var says []string
	if p.Pushes > 0 {
		says = append(says, fmt.Sprintf("Pushed is all before line %d: %s, offset %d.", p.Next, many(p.Count, "delta"), p.Offset))
	}
	switch {
	case p.unsure && at != nil:
		says = append(says, fmt.Sprintf("Lines %d to %d may or may not be pushed.", at.first, at.next-1))
	case p.unsure:
		says = append(says, fmt.Sprintf("What begins with line %d may or may not be pushed.", p.Next))
	case p.Pushes == 0:
		return "Nothing was pushed."
	}
	return strings.Join(says, " ")
}

// advice says how to go on; the problem is what the origin said, if it is that what ended the push.
func (p *pusher) advice(problem *scanedge.Problem) string {
	word := scanedge.ProblemType("")
	if problem != nil {
		word = problem.Type
	}
	switch {
	case word == scanedge.OffsetMoved:
		s := fmt.Sprintf("Somebody else pushed to %s since offset %d. Look at what it was; --if-match with the offset that it is at now",
			p.Issuer, *p.ifMatch)
		if p.state == nil {
			return s + " pushes all the same."
		}
		return s + fmt.Sprintf(" then goes on from line %d.", p.Next)
	case word == scanedge.NeedsApproval:
		s := "What was held: " + problem.Figures.String() + ". "
		if p.state == nil {
			return s + "Once it is approved, pushing the whole file again is safe."
		}
		return s + fmt.Sprintf("Once it is approved, the same command goes on from line %d.", p.Next)
	case word == scanedge.KeyReused && p.state != nil:
		return "The file is not the one that this push began with, though its size, time and ends are. " +
			"With --restart it is pushed from its start."
	case p.Pushes == 0 && !p.unsure:
		return ""
	case p.state != nil && !p.mustChange(word):
		return fmt.Sprintf("The same command goes on from line %d.", p.Next)
	}
	return "Pushing the whole file again is safe: a delta sets the whole record."
}

// mustChange tells whether the same file would fail in the same way again.
func (p *pusher) mustChange(word scanedge.ProblemType) bool {
	switch word {
	case scanedge.BadLines, scanedge.LineTooLong, scanedge.TooLarge, scanedge.TooManyDeltas:
		return true
	}
	return p.unread
}

// wrong names the bad lines of a piece by their numbers in the file.
func (p *pusher) wrong(at *piece, problem *scanedge.Problem) error {
	var why strings.Builder
	fmt.Fprintf(&why, "%s: %s of %s can't be pushed:", problem.Type, many(problem.Bad, "line"), p.in.name)
	for _, line := range problem.Lines {
		line.Line = at.fileLine(line.Line)
		fmt.Fprintf(&why, "\n  %s", line)
	}
	if more := problem.Bad - len(problem.Lines); more > 0 {
		fmt.Fprintf(&why, "\n  and %s more", grouped(more))
	}
	return errors.New(why.String())
}

// many reads like "1 push" and "200,000 pushes".
func many(n int, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "sh"):
		thing += "es"
	default:
		thing += "s"
	}
	return grouped(n) + " " + thing
}

// grouped writes n with a comma between thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
